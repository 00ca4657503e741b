"""The frame of a service: settings, logs, HTTP manners, and a life that ends well.

Router, pod and operator run in it; it knows none of them.
"""
