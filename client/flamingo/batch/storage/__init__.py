"""Folders and buckets, with the same methods: list, open, write whole files, remove.

`location` and `names` do no I/O.
"""
