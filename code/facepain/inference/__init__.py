"""How sure is it? Permutation tests, the bootstrap, clusters: arrays in, arrays out."""
