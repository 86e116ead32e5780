"""The analysis as a library: arrays in, arrays out."""
