"""What a pod counts and reports of its requests."""
