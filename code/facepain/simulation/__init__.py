"""The synthetic stand-in for the private data, from one seed."""
