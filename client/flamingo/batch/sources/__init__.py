"""Sources of items, one file each."""
