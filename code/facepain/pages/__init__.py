"""Pages to look at: interactive views, report and notebook; `facepain.pages.site` writes them all."""
