"""The commands of the pages that no test runs, and why. The table is to stay small."""

from dataclasses import dataclass
from enum import Enum

from documents.blocks import Command


class Why(Enum):
    """The reasons that count."""

    NEEDS_A_GPU = "it needs a GPU and the weights of the real model"
    NEEDS_A_REGISTRY = "it pushes to or pulls from a registry, or reads the hub"
    CHANGES_THE_MACHINE = "it installs on or changes the machine of the reader"
    OTHER_PROGRAM = "it is a program or a custom resource of another project that is not here"


@dataclass(frozen=True)
class NotRun:
    """Commands of a page that begin like this."""

    page: str
    begins: str
    why: Why

    def covers(self, command: Command) -> bool:
        return command.page == self.page and command.text.startswith(self.begins)


TABLE = [
    NotRun("README.md", "flamingo up --model nvidia/", Why.NEEDS_A_GPU),
    NotRun("README.md", "flamingo serve --model nvidia/", Why.NEEDS_A_GPU),
    NotRun("docs/air-gapped.md", "for image in", Why.NEEDS_A_REGISTRY),
    NotRun("docs/air-gapped.md", "helm ", Why.NEEDS_A_REGISTRY),
    NotRun("docs/air-gapped.md", "HF_HOME=", Why.NEEDS_A_REGISTRY),
    NotRun("docs/air-gapped.md", "kubectl ", Why.NEEDS_A_REGISTRY),
    NotRun("docs/air-gapped.md", "tar ", Why.NEEDS_A_REGISTRY),
    NotRun("docs/first-steps.md", "docker ", Why.OTHER_PROGRAM),
    NotRun("docs/gitops.md", "apiVersion: kustomize.toolkit.fluxcd.io/", Why.OTHER_PROGRAM),
    NotRun("docs/gitops.md", "healthCheckExprs:", Why.OTHER_PROGRAM),
    NotRun("docs/gpu.md", "python3 -m venv", Why.CHANGES_THE_MACHINE),
    NotRun("docs/gpu.md", ". .venv/bin/activate", Why.CHANGES_THE_MACHINE),
    NotRun("docs/gpu.md", "flamingo bench accuracy", Why.NEEDS_A_GPU),
    NotRun("docs/gpu.md", "flamingo bench gpu", Why.NEEDS_A_GPU),
    NotRun("docs/gpu.md", "flamingo doctor", Why.NEEDS_A_GPU),
    NotRun("docs/gpu.md", "flamingo pull", Why.NEEDS_A_REGISTRY),
    NotRun("docs/gpu.md", "flamingo serve", Why.NEEDS_A_GPU),
    NotRun("docs/releasing.md", "git ", Why.NEEDS_A_REGISTRY),
    NotRun("docs/releasing.md", "python3 release/version.py check", Why.NEEDS_A_REGISTRY),
    NotRun("docs/runbooks.md", "version: prometheus/v1", Why.OTHER_PROGRAM),
    NotRun("docs/runbooks.md", "route:", Why.OTHER_PROGRAM),
    NotRun("docs/scaling.md", "externalRules:", Why.OTHER_PROGRAM),
    NotRun("docs/scaling.md", "apiVersion: keda.sh/", Why.OTHER_PROGRAM),
    NotRun("docs/supply-chain.md", "cosign verify", Why.NEEDS_A_REGISTRY),
    NotRun("docs/supply-chain.md", "docker ", Why.NEEDS_A_REGISTRY),
    NotRun("docs/supply-chain.md", "gh attestation", Why.NEEDS_A_REGISTRY),
    NotRun("helm/flamingo-operator/README.md", "helm install", Why.NEEDS_A_REGISTRY),
    NotRun("helm/flamingo/README.md", "helm install music oci://", Why.NEEDS_A_REGISTRY),
    NotRun("docs/walkthroughs.md", "pip install", Why.CHANGES_THE_MACHINE),
    NotRun("docs/walkthroughs.md", "minikube image load", Why.OTHER_PROGRAM),
]


def reason_for(command: Command) -> Why | None:
    """Return why no test runs a command, or None."""
    return next((one.why for one in TABLE if one.covers(command)), None)
