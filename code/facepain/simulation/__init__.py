"""The synthetic stand-in for the private data: a simulation, everything that `make inputs` writes, from one seed."""
