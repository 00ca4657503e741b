"""The framework of every service: settings, logs, HTTP conventions and graceful shutdown.

Router, pod and operator use it; it does not depend on any of them.
"""
