"""The synthetic stand-in for the private data: everything that `make inputs` writes, from one seed.

The numbers are a simulation that has the shape of the study and, at full size, its picture: the whole brain predicts
the score a little, M1 does not, and nothing carries over to dataset 2.
"""
