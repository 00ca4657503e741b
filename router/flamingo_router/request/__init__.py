"""What a request contains: its body as it arrives, the length of its audio, its options."""
