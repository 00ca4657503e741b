"""How long a test waits for what must happen."""

PATIENCE_S = 300.0
"""Half of what pytest gives a test: a busy machine is no fault, and what hangs still says where."""
