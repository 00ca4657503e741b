"""Parameters in the query of a URL."""

import pytest

from flamingo_common.errors import UnknownParameter
from flamingo_pod.api.request import query


@pytest.mark.parametrize("names", [[], ["api-version"], ["api-version", "api-version"]])
def test_the_version_that_azures_clients_append_is_ignored(names):
    query.check(names)


@pytest.mark.parametrize(
    "names", [["max_tokens"], ["api-version", "max_tokens", "seed"], ["max_tokens", "api-version"]]
)
def test_the_first_parameter_is_named_and_where_it_belongs(names):
    with pytest.raises(UnknownParameter, match="the query parameter 'max_tokens'") as error:
        query.check(names)
    assert "in the body" in error.value.message
    assert error.value.param == "max_tokens"


@pytest.mark.parametrize("name", ["", "API-Version", "api_version", "a\nb"])
def test_any_other_name_is_refused(name):
    with pytest.raises(UnknownParameter) as error:
        query.check([name])
    assert (error.value.param, "\n" in error.value.message) == (name, False)


def test_a_long_name_is_shortened():
    with pytest.raises(UnknownParameter) as error:
        query.check(["a" * 10_000])
    assert len(error.value.message) < 300
