"""Damaged files: where their audio is missing, how much of it, and whether that is allowed."""
