"""The commands of `flamingo`, one per file; `flamingo.cli` registers them."""
