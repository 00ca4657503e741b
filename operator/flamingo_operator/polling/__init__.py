"""Clients that read the load of router pods and server pods, and the loop that polls routers."""
