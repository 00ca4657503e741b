"""Code shared by the client and the services: the HTTP contract and the service framework.

`errors` has every error that a server returns, `wire` the request and response types,
`audio` the length of a clip from its container's header, `service` settings, logs, HTTP
and shutdown, `ui` and `swagger` the static pages. It imports no other package of the project.
"""
