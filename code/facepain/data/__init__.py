"""What comes in: trials and their exclusions, contrast images, masks, signals and their quality."""
