"""Where a checkpoint's files are, and how they get here."""
