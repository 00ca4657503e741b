"""The classes of clip lengths that metrics are labelled with."""

import pytest

from flamingo_common.audio.length_classes import CLIP_LENGTHS, clip_length


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        (0, "none"),
        (0.1, "0-30s"),
        (30, "0-30s"),
        (30.1, "30s-2m"),
        (180, "2m-5m"),
        (1200, "5m-20m"),
        (1200.5, "20m+"),
        (float("inf"), "20m+"),
    ],
)
def test_a_clip_is_in_the_first_class_that_it_fits_in(seconds, found):
    assert clip_length(seconds) == found
    assert found in CLIP_LENGTHS
