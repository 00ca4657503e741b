"""The engine: token ids and encoded audio in, token ids out. It does not handle text or HTTP."""
