"""`kubectl flamingo`: shows the state of fleets, why pods fail, and what a change would do."""
