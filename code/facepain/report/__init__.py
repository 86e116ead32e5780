"""What a reader sees: figures, pages, notebook and report, drawn from results."""
