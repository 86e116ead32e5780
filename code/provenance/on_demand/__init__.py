"""Let `datalad get` recompute what is stored nowhere."""
