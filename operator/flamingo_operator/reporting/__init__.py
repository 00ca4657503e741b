"""The status of a FlamingoDeployment, its conditions and its events.

All pure.
"""
