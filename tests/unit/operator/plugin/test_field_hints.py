"""What was meant by a field that the API server does not know."""

import pytest

from flamingo_operator.plugin import field_hints

STRICT = (
    'FlamingoDeployment in version "v1alpha1" cannot be handled as a FlamingoDeployment: strict'
    " decoding error: "
)


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("spec.servr", "spec.server"),
        ("spec.server.imag", "spec.server.image"),
        ("spec.scaling.schedules[0].timezone", "spec.scaling.schedules.timeZone"),
        ("spec.scaling.scaleUp.maxPendin", "spec.scaling.scaleUp.maxPending"),
        ("spec.maxSurge", "spec.rollout.maxSurge"),
    ],
)
def test_a_misspelt_or_misplaced_field_gets_a_hint(field, hint):
    error = f'{STRICT}unknown field "{field}"'
    assert field_hints.with_hints(error) == f"{error} (did you mean {hint}?)"


def test_a_field_unlike_any_other_gets_none():
    error = f'{STRICT}unknown field "spec.xyzzy", unknown field "spec.xyzzy.abcdefg"'
    assert field_hints.with_hints(error) == error


def test_an_error_about_a_patch_does_not_quote_the_whole_object():
    field = 'unknown field "spec.servr"'
    error = f'"" is invalid: patch: Invalid value: "a: b": strict decoding error: {field}'
    expected = f'{STRICT}unknown field "spec.servr" (did you mean spec.server?)'
    assert field_hints.with_hints(error) == expected


def test_the_words_of_server_side_apply_are_understood():
    error = "failed to create typed patch object: .spec.servr: field not declared in schema"
    assert field_hints.with_hints(error) == f"{error} (did you mean spec.server?)"
