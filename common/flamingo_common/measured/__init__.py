"""What is measured of a clip, beside what the model says about it: keys and tempos, compared.

Pure.
"""
