"""The model's answers about lyrics and structure, read as sections and lines with times.

All pure.
"""
