"""git-annex in this clone and in the input datasets."""
