"""Figures drawn from results, a module for each family; `facepain.report.figures.catalogue` lists them all."""
