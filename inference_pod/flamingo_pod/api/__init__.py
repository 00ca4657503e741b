"""The handlers of a pod's HTTP routes."""
