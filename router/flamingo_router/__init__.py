"""Sends each request to the pod where it finishes first."""
