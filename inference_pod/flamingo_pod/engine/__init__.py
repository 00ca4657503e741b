"""The engine: token ids and encoded audio in, token ids out. It knows no text and no HTTP."""
