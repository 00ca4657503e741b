"""All that reads, mirrors or writes the API server."""
