"""Manifests of all objects that the operator creates for a FlamingoDeployment.

All pure.
"""
