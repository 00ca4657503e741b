"""A saturated pod still answers probes; how fast is measured by `python -m bench.saturation`."""

import pytest
from bench.saturation import measure


@pytest.fixture(scope="module")
def waits(model_cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saturation")
    return measure.measure("flamingo-tiny", seconds=3, folder=folder)


@pytest.mark.parametrize("path", measure.PATHS)
def test_a_saturated_pod_answers_health_and_load(waits, path):
    assert waits[path].all_s
