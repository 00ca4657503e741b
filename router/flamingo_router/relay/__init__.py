"""The way of a request through the router: admission, attempts, bytes out and back."""
