"""The device as the engine sees it: its memory, errors and clock, and copies to and from it."""
