"""The part of a clip that a request is about."""

import pytest

from flamingo_router.request.clip_part import ClipPart


@pytest.mark.parametrize(
    ("part", "seconds"),
    [
        (ClipPart(60.0, 90.0), 30.0),
        (ClipPart(60.0, None), 120.0),
        (ClipPart(170.0, 200.0), 10.0),
        (ClipPart(500.0, 530.0), 0.0),
    ],
)
def test_a_part_costs_what_the_clip_has_of_it(part, seconds):
    assert part.seconds_of(180.0, is_assumed=False) == seconds


def test_the_end_of_a_part_is_believed_where_the_length_of_the_clip_is_not_known():
    assert ClipPart(3600.0, 3630.0).seconds_of(180.0, is_assumed=True) == 30.0


def test_parts_have_names_of_their_own():
    names = {part.name_in("ab12") for part in (ClipPart(0.0, 5.0), ClipPart(5.0, None))}
    assert names == {"ab12-0-5", "ab12-5-0"}
