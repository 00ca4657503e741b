"""How many servers a deployment needs, and why.

All pure.
"""
