"""Audio in the engine: windows, their encoder states, and the cache of both."""
