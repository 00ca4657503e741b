"""A request's way through the router: admission, attempts, the relay of both bodies."""
