"""The Python environment, and what else a machine needs."""
