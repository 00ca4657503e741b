"""The handlers of requests to `/v1/files` and `/v1/batches`."""
