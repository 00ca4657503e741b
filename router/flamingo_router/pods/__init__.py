"""Discovery of the pods, and polling of their load reports."""
