"""Batches: many clips through one client, recorded so that they survive a kill.

A `Source` lists items, `run` has each processed and gives every outcome to an `Output`. Items,
outcomes and the rules for retries are pure; sources and outputs do the I/O. The room knows no
HTTP: what sends an item is passed to it.
"""
