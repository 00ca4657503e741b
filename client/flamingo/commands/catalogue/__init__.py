"""What `flamingo batch` does: its options, its questions, its plan, and its run."""
