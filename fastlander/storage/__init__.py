"""What a run keeps on disk: tables, checkpoints, models, the run directory."""
