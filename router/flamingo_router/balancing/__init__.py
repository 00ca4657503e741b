"""Which pod gets a request, and when: the router's decisions.

All pure: state is allowed, but no I/O, no clock and no randomness of its own. One entry
of the purity contract covers the whole package.
"""
