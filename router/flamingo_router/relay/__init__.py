"""How a request passes through the router: admission, attempts, the relay of both bodies."""
