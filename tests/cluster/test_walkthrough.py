"""From an empty cluster to a caption by install.yaml, and back: the first walk of the docs."""

import pytest
from cluster import inventory, readers
from control_plane.operators import wait_until
from documents.selections import QUICK_START, README_KUBECTL, WALK_WITHOUT_GPU


@pytest.fixture(scope="module")
def reader(node, clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    with readers.reading(node, folder, clips["notes.mp3"]) as opened:
        yield opened


@pytest.fixture
def without_gpu(node):
    """Take away what says that the node has a GPU."""
    node.output("label", "nodes", "--all", "nvidia.com/gpu.product-")
    yield
    node.output("label", "nodes", "--all", "nvidia.com/gpu.product=NVIDIA-H200")


@pytest.mark.usefixtures("without_gpu")
def test_the_walk_without_a_gpu_leads_from_an_empty_cluster_to_a_caption_and_back(
    node, empty, uninstalled, reader
):
    for command in WALK_WITHOUT_GPU.commands():
        reader.follow(command)
    wait_until(lambda: not of_ours(inventory.take(node) - empty), "all of it is gone")


def of_ours(found):
    return {one for one in found if "amingo" in f"{one}"}


@pytest.mark.parametrize("page", [README_KUBECTL, QUICK_START], ids=["README", "operations"])
def test_the_other_quick_starts_take_the_same_way(page):
    walked = [one.text for one in WALK_WITHOUT_GPU.commands()]
    rest_of_walk = iter(walked)
    commands = [one.text for one in page.commands() if not one.file]
    # `in` consumes what it passes, so this also requires the same order.
    assert [one for one in commands if one not in rest_of_walk] == []
    assert {one.text for one in page.commands()} <= {*walked}
