"""Flamingo: call a fleet that serves NVIDIA's Music Flamingo."""
