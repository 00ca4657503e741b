"""The types of the FlamingoDeployment: its spec, its status and their validation rules.

All pure. The CRD is generated from these types.
"""
