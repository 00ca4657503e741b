"""A spec → the manifest of every object that the operator owns.

All pure.
"""
