import json

import pytest

from flamingo.batch.identity import Identity, problem

BEFORE = Identity("caption", {"style": "brief"}, "songs.jsonl sha256:1")


def reason(now, *, state=BEFORE, has_results=True):
    stored = None if state is None else json.loads(json.dumps(state.as_json()))
    return problem(stored, now, has_results=has_results)


def test_the_same_batch_can_be_continued():
    assert reason(BEFORE) is None


def test_options_are_compared_as_json_has_them():
    options = {"stop": ("a", "b"), "logit_bias": {7: -100}}
    batch = Identity("caption", options, "paths")

    assert reason(batch, state=batch) is None


def test_a_new_output_can_be_begun():
    assert reason(BEFORE, state=None, has_results=False) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (Identity("embed", {}, "x"), "it has results of 'caption', and this run is 'embed'"),
        (
            Identity("caption", {"style": "detailed"}, "x"),
            "its results have style='brief', and this run has style='detailed'",
        ),
        (
            Identity("caption", {"style": "brief", "prompt": "Key?"}, "x"),
            "its results have no prompt, and this run has prompt='Key?'",
        ),
        (
            Identity("caption", {"style": "brief"}, "songs.jsonl sha256:2"),
            "the source has changed: it was songs.jsonl sha256:1, and is now songs.jsonl sha256:2",
        ),
    ],
)
def test_another_batch_cannot_and_the_difference_is_named(now, expected):
    assert expected in reason(now)


def test_results_without_a_state_file_are_not_continued():
    assert "no state file" in reason(BEFORE, state=None)


def test_a_state_file_of_another_version_is_refused():
    assert "version 2" in problem({**BEFORE.as_json(), "version": 2}, BEFORE, has_results=True)
