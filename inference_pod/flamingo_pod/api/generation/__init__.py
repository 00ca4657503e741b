"""From a prompt to text: what all routes that generate share, whole or streamed."""
