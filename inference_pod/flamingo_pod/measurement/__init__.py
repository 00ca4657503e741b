"""Measures music: tempo and beats, key and loudness, in processes of their own."""
