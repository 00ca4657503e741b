"""Which tokens may come next: those of a format that is requested, and the end of reasoning."""
