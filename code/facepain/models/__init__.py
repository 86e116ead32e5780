"""Standardisation, folds, PCA regression, classification, and their scores: arrays in, arrays out."""
