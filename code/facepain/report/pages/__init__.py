"""Pages to look at: interactive views, report and notebook; `facepain.report.pages.site` writes them all."""
