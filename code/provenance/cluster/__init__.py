"""Run the study's cells as jobs of Slurm, each in a clone of its own, and land what they made."""
