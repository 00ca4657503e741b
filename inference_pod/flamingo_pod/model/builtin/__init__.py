"""The built-in models: the real architecture with small random weights, made on first use.

They let the whole fleet run on a laptop and in tests. Their output is meaningless.
"""
