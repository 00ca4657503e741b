"""Computes a step: its arrays, the forward pass, the KV pool and the recorded steps."""
