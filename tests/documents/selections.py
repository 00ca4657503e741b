"""Which test runs which commands of the pages.

A test that runs commands takes them from a selection here, so that what it runs and what counts as
run are the same. `tests/contract/test_documented_commands.py` checks that every command is in a
selection or in `documents/not_run.py`, and that each selection is used by the test that it names.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from documents import not_run, pages
from documents.blocks import Block, Command


@dataclass(frozen=True)
class Selection:
    """The commands that one test runs."""

    test: str
    """The test file, from the root."""
    rule: Callable[[Command], bool]

    def takes(self, command: Command) -> bool:
        """Whether the test runs it."""
        return self.rule(command) and not not_run.reason_for(command)

    def commands(self) -> list[Command]:
        """Return what the test runs, in the order of the pages."""
        return [command for command in pages.all_commands() if self.takes(command)]

    def scripts(self) -> Iterator[tuple[Block, str]]:
        """Yield the blocks with something to run, each with all that is run of it as one text."""
        for block in pages.all_blocks():
            if taken := [one.text for one in block.commands if self.takes(one)]:
                yield block, "\n".join(taken)


def walk(test: str, page: str, *headings: str) -> Selection:
    """Return a selection of the commands and files of a page, or of what is under some headings."""

    def is_there(command: Command) -> bool:
        under = not headings or any(one in command.headings for one in headings)
        is_step = command.language == "sh" or command.file
        return command.page == page and bool(is_step) and under

    return Selection(test, is_there)


LOCAL = "http://127.0.0.1:8000"
"""The address of a fleet on the reader's machine; tests put that of their own in its place."""
VERBS = (
    *("caption", "ask", "chat", "embed", "analyze", "tag", "batch"),
    *("models", "recipes", "fleet"),
)
CLIENT = tuple(f"flamingo {verb} " for verb in VERBS)
BUCKET = "s3://"
REFUSED = "refused"
DATASET_TOOLS = ("from datasets import", "import base64\n\nimport ray")
CHART_PAGE = "helm/flamingo/README.md"
CLIENTS_PAGE = "docs/clients.md"
SERVED = {
    *("v1", "apps/v1", "autoscaling/v2", "batch/v1", "flamingo.dev/v1alpha1"),
    *("admissionregistration.k8s.io/v1", "networking.k8s.io/v1", "policy/v1"),
    *("rbac.authorization.k8s.io/v1", "scheduling.k8s.io/v1"),
}
"""API versions of Kubernetes and of ours."""


def _is_about_batches(command: Command) -> bool:
    return command.page == "docs/batches.md" and "The service" in command.headings


def _asks_a_local_fleet(command: Command) -> bool:
    is_client = f"{command.text} ".startswith(CLIENT) and BUCKET not in command.text
    is_local = command.language == "sh" and (is_client or LOCAL in command.text)
    return is_local and not _is_in_the_terminal(command) and not _is_about_batches(command)


def _is_in_the_terminal(command: Command) -> bool:
    return command.page == "README.md" and command.output is not None


TERMINAL = Selection("tests/fleet/test_docs.py", _is_in_the_terminal)
FLEET_SHELL = Selection(
    "tests/fleet/test_docs.py",
    lambda one: _asks_a_local_fleet(one) and REFUSED not in one.info,
)
FLEET_REFUSED = Selection(
    "tests/fleet/test_docs.py",
    lambda one: _asks_a_local_fleet(one) and REFUSED in one.info,
)
BUCKETS = Selection(
    "tests/fleet/test_batch_buckets.py",
    lambda one: one.language == "sh" and BUCKET in one.text and one.text.startswith(CLIENT),
)
FLEET_PYTHON = Selection(
    "tests/fleet/test_docs.py",
    lambda one: (
        one.language == "python"
        and LOCAL in one.text
        and one.page != CLIENTS_PAGE
        and not _is_about_batches(one)
    ),
)
DATASETS = Selection(
    "tests/fleet/clients/test_datasets.py",
    lambda one: one.page == "docs/batches.md" and one.text.startswith(DATASET_TOOLS),
)
BATCHES = Selection(
    "tests/batches/test_documents.py",
    lambda one: _is_about_batches(one) and one.language in {"sh", "python"},
)
SERVICES = "tests/fleet/test_documented_services.py"
ROUTER = Selection(
    SERVICES, lambda one: one.page == "README.md" and one.text.startswith("flamingo router")
)
KEYED_ROUTER = Selection(
    SERVICES, lambda one: one.page == "docs/security.md" and one.language == "sh"
)
IMAGES = Selection(
    "tests/contract/test_make_images.py", lambda one: one.text.startswith("make images")
)
MAKE_UP = Selection(SERVICES, lambda one: one.page == "README.md" and one.text == "make up")
CI = Selection(
    "tests/contract/test_documented_commands.py",
    # The test checks that the script for a change does them.
    lambda one: one.text in {"make test", "make lint"},
)
OPEN_WEBUI = Selection(
    "tests/fleet/test_open_webui.py", lambda one: one.file == "flamingo_audio.py"
)
CLIENTS = Selection(
    "tests/fleet/clients/test_clients_page.py",
    lambda one: (
        one.page == CLIENTS_PAGE and one.language in {"python", "js"} and not OPEN_WEBUI.takes(one)
    ),
)
CLIPS = Selection(
    "tests/unit/common/test_clips.py",
    lambda one: one.page == "common/flamingo_common/clips/README.md",
)
ARGO_CD = Selection(
    "tests/contract/test_argo_cd_health.py",
    lambda one: one.page == "docs/gitops.md" and one.language == "lua",
)
GITOPS = Selection(
    "tests/charts/test_fleet_documents.py",
    lambda one: one.page == "docs/gitops.md" and one.language == "yaml" and "values" in one.text,
)
VALUES = Selection(
    "tests/charts/test_fleet_documents.py",
    lambda one: one.language == "yaml" and (one.file == "values.yaml" or one.page == CHART_PAGE),
)
AIR_GAPPED_VALUES = Selection(
    "tests/charts/test_air_gapped.py", lambda one: one.file == "air-gapped-values.yaml"
)
RECIPES = Selection(
    "tests/unit/common/recipes/test_recipe.py",
    lambda one: one.page == "docs/api.md" and one.language == "yaml",
)
KEY_FILES = Selection(
    "tests/contract/test_documented_key_files.py", lambda one: one.file == "keys.yaml"
)
MANIFESTS = Selection(
    "tests/control_plane/test_documented_manifests.py",
    lambda one: one.language == "yaml" and is_of(one.text, SERVED) and REFUSED not in one.info,
)
CLUSTER_COMMANDS = Selection(
    "tests/control_plane/test_documented_manifests.py",
    lambda one: one.language == "sh" and one.page in {"docs/cluster.md", "docs/models.md"},
)
GATEWAYS = Selection(
    "tests/control_plane/test_networking.py",
    lambda one: one.language == "yaml" and is_of(one.text, {"gateway.networking.k8s.io/v1"}),
)
DEPLOYMENTS = Selection(
    "tests/contract/test_documented_deployments.py",
    lambda one: one.language == "yaml" and is_deployment(one.text) and REFUSED not in one.info,
)
PAGES_TEST = "tests/control_plane/test_documents.py"
WALKS = "docs/walkthroughs.md"
WALK_INSTALLED = Selection(
    PAGES_TEST,
    # What is before the first walk.
    lambda one: one.page == WALKS and one.language == "sh" and len(one.headings) == 1,
)
WALK_GPUS = walk(PAGES_TEST, WALKS, "A cluster with GPUs")
OPERATIONS = walk(
    PAGES_TEST,
    "docs/operations.md",
    "A first deployment",
    "API keys",
    "Scaling the fleet",
    "Rollouts",
    "Failures",
    "GPU failures",
    "Suspending and deleting a fleet",
)
PLUGIN = walk(PAGES_TEST, "docs/kubectl.md")
OUTSIDE = walk(PAGES_TEST, "docs/operations.md", "How the operator runs")
FLEET_CHART = walk(PAGES_TEST, CHART_PAGE)
NODES = walk(PAGES_TEST, "docs/cluster.md")
HUB_TOKEN = walk(PAGES_TEST, "docs/models.md")
RUNBOOK = Selection(
    PAGES_TEST,
    lambda one: one.page == "docs/runbooks.md" and one.text.startswith("kubectl flamingo status"),
)
ALERT_VALUES = Selection(
    "tests/charts/test_operator_documents.py",
    lambda one: one.language == "yaml" and one.text.startswith("prometheusRule:"),
)
INSTALLATION = walk(PAGES_TEST, "docs/installation.md")
GITOPS_WAITS = walk(PAGES_TEST, "docs/gitops.md", "kubectl", "Helm")
CHART = walk(PAGES_TEST, "docs/operations.md", "A fleet by Helm")
SCALING = walk(PAGES_TEST, "docs/scaling.md")
WALK_HELM = walk(PAGES_TEST, WALKS, "Helm and GitOps")
WALK_QUOTA = walk(PAGES_TEST, WALKS, "A namespace with a quota")


def is_of(text: str, versions: set[str]) -> bool:
    """Whether YAML is whole objects, all of these API versions."""
    found = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("apiVersion")]
    return bool(found) and set(found) <= versions


MONITORING = Selection(
    "tests/monitoring/test_page.py",
    lambda one: one.page == "docs/monitoring.md" and bool(one.file),
)
WALKTHROUGH = "tests/cluster/test_walkthrough.py"


def _under(page: str, *headings: str) -> Callable[[Command], bool]:
    """Return whether a command, or a file for one, is right under one of these headings."""

    def rule(command: Command) -> bool:
        is_run = command.language == "sh" or bool(command.file)
        return command.page == page and command.headings[-1] in headings and is_run

    return rule


README_HELM = Selection(
    "tests/cluster/conftest.py", _under("README.md", "On Kubernetes", "With Helm")
)
README_KUBECTL = Selection(WALKTHROUGH, _under("README.md", "With kubectl"))
QUICK_START = Selection(WALKTHROUGH, _under("docs/operations.md", "Installation", "Quick start"))
WALK_WITHOUT_GPU = Selection(WALKTHROUGH, _under(WALKS, "A node without a GPU"))


def is_deployment(text: str) -> bool:
    """Whether YAML is a FlamingoDeployment, or the part of one that begins with its spec."""
    lines = text.splitlines()
    if "{{" in text:  # a template of a chart
        return False
    return "kind: FlamingoDeployment" in lines or lines[0].startswith("spec:")


ALL = {name: one for name, one in globals().items() if isinstance(one, Selection)}
