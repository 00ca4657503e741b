"""Text in and out of the model: prompts, detokenization and caption styles.

Pure.
"""
