"""Asking routers and draining servers for their load."""
