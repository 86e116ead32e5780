"""What made a result, and whether that still holds."""
