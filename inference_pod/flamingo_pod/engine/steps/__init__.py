"""Runs the steps: several in flight, errors contained, and their time attributed to requests."""
