"""Run one cell, or a stage of them, through `datalad run`."""
