"""What travels between client, router and pod, as types that check themselves.

`requests` and `responses` are the bodies, `sse` the stream, `report` what a pod
tells the router. All pure: bytes and dicts in, values out.
"""

REQUEST_ID_HEADER = "x-request-id"
DEADLINE_HEADER = "x-flamingo-deadline-ms"
AUDIO_HEADER = "x-flamingo-audio-seconds"
"""Decoded seconds of audio, in an answer: what a caller is charged for."""
"""Milliseconds from now after which an answer is of no use to whoever asks."""
MAX_BODY_BYTES = 256 * 2**20
"""A 20-minute stereo WAV at 44.1 kHz (212 MB) fits as multipart; in base64 (282 MB) it does not."""
