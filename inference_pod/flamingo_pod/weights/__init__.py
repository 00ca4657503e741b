"""Find a checkpoint's files, download what is missing, and check that they are complete."""
