"""Audio input: fetch it, decode it in worker processes, resample it to 16 kHz mono."""
