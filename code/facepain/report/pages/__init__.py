"""Pages to look at: interactive views, report and notebook."""
