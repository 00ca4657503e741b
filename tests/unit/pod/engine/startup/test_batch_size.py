import pytest

from flamingo_pod.engine.model_runner.buckets import BUCKETS
from flamingo_pod.engine.startup.batch_size import default_max_num_seqs


@pytest.mark.parametrize(
    ("gpu_gb", "expected"),
    [(None, 64), (12, 128), (23.5, 128), (39, 256), (79, 256), (141, 256)],
)
def test_the_default_batch_follows_from_the_memory_of_the_gpu(gpu_gb, expected):
    assert default_max_num_seqs(gpu_gb and int(gpu_gb * 1e9)) == expected


def test_every_default_batch_can_be_recorded():
    assert default_max_num_seqs(10**12) <= max(BUCKETS)
