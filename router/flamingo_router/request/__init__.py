"""The contents of a request: its body as it arrives, the length of its audio, its options."""
