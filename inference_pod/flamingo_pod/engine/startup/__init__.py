"""Before the first request: how memory is divided, measured, and what is run to warm up."""
