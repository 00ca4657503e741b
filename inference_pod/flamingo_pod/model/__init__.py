"""The checkpoint: its classes, its limits, its encoder."""
