"""The audio front end: bytes in any container → 16 kHz mono, in worker processes."""
