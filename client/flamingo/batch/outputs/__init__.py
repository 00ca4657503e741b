"""Outputs of a batch, one file each."""
