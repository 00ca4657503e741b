"""What commands print: tables, messages, progress, and results as JSON."""
