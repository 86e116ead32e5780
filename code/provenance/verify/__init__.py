"""Recompute results from their declarations and compare."""
