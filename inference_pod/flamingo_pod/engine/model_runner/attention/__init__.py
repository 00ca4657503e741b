"""Attention over the KV pool: one interface, and an implementation for each kind of device."""
