"""What the work costs: measured by stage and by request, learned, and predicted."""
