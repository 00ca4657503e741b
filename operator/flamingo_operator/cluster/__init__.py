"""Everything that reads, mirrors or writes the API server's objects."""
