"""The HTTP API of routers and pods, as types that validate themselves.

`requests` and `responses` are the bodies, `sse` the streams, `report` the load reports,
`routes` the table of all routes and `openapi` its document. All pure: bytes and dicts in,
values out.
"""

REQUEST_ID_HEADER = "x-request-id"
"""ID of the request, in requests, responses and logs."""
DEADLINE_HEADER = "x-flamingo-deadline-ms"
"""Milliseconds from now after which the client no longer needs the response."""
PRIORITY_HEADER = "x-flamingo-priority"
"""high, normal or low: requests of low priority give way to all others, and of one API key's
requests that wait in the router those of high priority are sent first."""
AUDIO_HEADER = "x-flamingo-audio-seconds"
"""Response header with the decoded seconds of audio, which count against quotas."""
AUDIO_ID_HEADER = "x-flamingo-audio-id"
"""Response header with the id of the request's clip, or the ids of several separated by commas."""
MAX_BODY_BYTES = 256 * 2**20
"""A 20-minute stereo WAV at 44.1 kHz (212 MB) fits as multipart; as base64 (282 MB) it does not."""
