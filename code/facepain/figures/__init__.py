"""Figures drawn from results, a module for each family; `facepain.figures.catalogue` lists them all."""
