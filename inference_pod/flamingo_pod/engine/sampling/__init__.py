"""Sampling: from the logits of a step's rows to their next tokens. Only reading them waits."""
