"""Which pods there are, and what each of them reports."""
