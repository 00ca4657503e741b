"""Which server pods are created and removed, and when.

All pure.
"""
