"""What the operator counts, for Prometheus."""
