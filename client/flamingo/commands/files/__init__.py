"""Clips that commands read, several at once, and the files that they write."""
