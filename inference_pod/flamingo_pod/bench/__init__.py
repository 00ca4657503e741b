"""Benchmarks of the engine and of audio decoding, each measurement in a fresh process."""
