"""What can be said of a clip without decoding it: its container, seconds and windows."""
