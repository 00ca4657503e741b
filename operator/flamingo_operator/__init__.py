"""The operator: reconciles FlamingoDeployments in a Kubernetes cluster."""
