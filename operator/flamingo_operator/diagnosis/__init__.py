"""Why a server pod does not work, and what to do about it.

All pure.
"""
