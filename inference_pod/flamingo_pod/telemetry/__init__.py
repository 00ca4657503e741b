"""Metrics and recent timings of a pod's requests."""
