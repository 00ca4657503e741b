"""The part of a clip that a request is about."""

import math

import pytest

from flamingo_router.request.clip_part import ClipPart


@pytest.mark.parametrize(
    ("part", "seconds"),
    [
        (ClipPart(60.0, 90.0), 30.0),
        (ClipPart(60.0, None), 120.0),
        (ClipPart(170.0, 200.0), 10.0),
        (ClipPart(60.0, 1e300), 120.0),
        (ClipPart(60.0, math.inf), 120.0),
        (ClipPart(500.0, 530.0), 0.0),
        (ClipPart(500.0, None), 0.0),
    ],
)
def test_a_part_costs_what_the_clip_has_of_it(part, seconds):
    assert part.seconds_of(180.0, is_assumed=False) == seconds


def test_the_end_of_a_part_is_believed_where_the_length_of_the_clip_is_not_known():
    assert ClipPart(3600.0, 3630.0).seconds_of(180.0, is_assumed=True) == 30.0


@pytest.mark.parametrize("end_s", [None, 99_999.0, 1e300, math.inf])
def test_an_end_that_means_that_of_any_clip_is_no_length(end_s):
    assert ClipPart(0.0, end_s).seconds_of(180.0, is_assumed=True) == 180.0
    assert ClipPart(3600.0, end_s).seconds_of(180.0, is_assumed=True) == 180.0


def test_parts_have_names_of_their_own():
    names = {part.name_in("ab12") for part in (ClipPart(0.0, 5.0), ClipPart(5.0, None))}
    assert names == {"ab12-0-5", "ab12-5-0"}
