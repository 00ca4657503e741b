"""The router: sends each request to the pod where it finishes first."""
