"""Triton kernels for decode steps, each with a reference in plain torch."""
