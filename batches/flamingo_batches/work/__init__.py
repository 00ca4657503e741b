"""What replicas do with batches: check them, send their lines, and write their results."""
