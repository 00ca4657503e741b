"""What comes in with a request: its body, its form, its clips, and the stats that it begins."""
