"""Sends every request to the pod where it is done first."""
