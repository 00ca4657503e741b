"""What `flamingo` does, one verb a file; `flamingo.cli` names them."""
