"""A clip's container format, duration and number of windows, without decoding it."""
