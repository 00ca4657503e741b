"""What the status of a FlamingoDeployment says.

All pure.
"""
