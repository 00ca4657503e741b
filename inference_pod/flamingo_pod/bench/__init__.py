"""An honest benchmark: our engine and its rivals, the same work, one run."""
