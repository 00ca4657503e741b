"""The FlamingoDeployment as types: its spec, its status, and the rules they keep.

All pure. The CRD is generated from these types.
"""
