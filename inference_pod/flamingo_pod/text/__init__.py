"""Text around the model: prompts built from turns, tokens decoded, the caption styles.

All pure.
"""
