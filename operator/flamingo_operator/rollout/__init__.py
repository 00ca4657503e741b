"""Which servers are created and removed, and when.

All pure.
"""
