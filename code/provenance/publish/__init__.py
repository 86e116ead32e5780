"""Group-level results for everybody, participant-level ones for nobody else."""
