"""What the stages wrote, read back for whoever shows it."""
