"""The operator: makes a cluster what its FlamingoDeployments say. So far, what they may say."""
