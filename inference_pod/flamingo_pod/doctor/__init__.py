"""What a pod needs of this machine, looked at one by one: the pod's half of `flamingo doctor`."""
