"""What the next step computes, and where its keys and values are: all decisions, all pure."""
