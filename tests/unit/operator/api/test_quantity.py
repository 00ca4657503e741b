"""Kubernetes quantities."""

from decimal import Decimal

import pytest

from flamingo_operator.api import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("40Gi", 40 * 2**30),
        ("1.5Ki", 1536),
        ("500m", Decimal("0.5")),
        ("1.90", Decimal("1.9")),
        (".5", Decimal("0.5")),
        ("1E", 10**18),
        ("1E3", 1000),
        ("12e-1", Decimal("1.2")),
        ("+2k", 2000),
        (7, 7),
    ],
)
def test_a_quantity_has_the_value_that_kubernetes_gives_it(text, value):
    assert quantity.parse(text) == value


@pytest.mark.parametrize("text", ["", "lots", "40GB", "40 Gi", "1Ki2", "-1", -1, "1e999", "\u0661"])
def test_what_is_not_a_quantity_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match="is not a quantity: use a number"):
        quantity.require(text)


def test_a_quantity_is_kept_as_it_was_written():
    assert quantity.require("1.50") == "1.50"


def test_a_quantity_is_of_bounded_length():
    with pytest.raises(ValueError, match="at most 32 characters"):
        quantity.require("1" * 33)


@pytest.mark.parametrize("value", [1.9, True, None, ["1"]])
def test_a_quantity_is_a_whole_number_or_a_string(value):
    with pytest.raises(ValueError, match="must be a whole number or a string"):
        quantity.require(value)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1000m", "1"),
        (4, "4"),
        (1000, "1k"),
        ("1.5", "1500m"),
        ("0.25", "250m"),
        ("2048", "2048"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1000Ki", "1000Ki"),
        ("0Gi", "0"),
        ("1e3", "1e3"),
        ("12e-1", "1200e-3"),
        ("50e0", "50"),
        ("100k", "100k"),
        ("1.0000000001", "1000000001n"),
    ],
)
def test_the_canonical_form_is_that_which_the_api_server_stores(written, stored):
    assert quantity.canonical(written) == stored
