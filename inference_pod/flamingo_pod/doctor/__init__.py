"""The pod's half of `flamingo doctor`: checks what a pod needs on this machine."""
