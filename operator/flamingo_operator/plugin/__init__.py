"""`kubectl flamingo`: what a fleet does, why it does not, and what a change would do."""
