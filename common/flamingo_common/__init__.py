"""What every part shares: the HTTP contract, and the frame that a service runs in.

`errors` has every error that crosses the wire, `wire` the request and response types,
`audio` what a container's header says about a clip, `service` settings, logs, HTTP and
shutdown, `ui` and `swagger` the static pages. It imports no other package of the project.
"""
