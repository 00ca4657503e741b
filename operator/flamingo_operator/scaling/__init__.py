"""How many server pods a deployment needs, and why.

All pure.
"""
