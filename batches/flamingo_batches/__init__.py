"""`/v1/files` and `/v1/batches`: OpenAI's batches, in front of a fleet's router."""
