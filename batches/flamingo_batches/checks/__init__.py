"""What a batch's input must be, where its clips are, and in which order its lines are sent.

All pure.
"""
