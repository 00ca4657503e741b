"""What a request brings: its body as it arrives, the length of its audio, its hints."""
