"""Key files: parsing, validation and the lookup of keys."""

import ast
import functools
import hmac
import inspect
import json
import textwrap

import pytest
from fakes.key_files import ALICE, ALICE_NEW, BOB, FILE, entry
from fakes.steps import num_steps

from flamingo_common.service import keys


def parse(content):
    return keys.parse(json.dumps(content).encode())


def test_the_file_may_be_yaml_or_json_and_limits_are_optional():
    yaml = f"keys:\n- name: alice\n  sha256: {keys.digest_of(ALICE)}\n"
    [alice] = keys.parse(yaml.encode()).keys
    assert (alice.weight, alice.max_concurrent, alice.may) == (1, None, {"infer"})
    bob = parse(FILE).names["bob"]
    assert (bob.requests_per_minute, bob.audio_seconds_per_minute) == (60, 600)


@pytest.mark.parametrize(
    ("key", "name"), [(ALICE, "alice"), (BOB, "bob"), ("fk-", None), ("", None)]
)
def test_a_presented_key_is_found_or_not(key, name):
    found = parse(FILE).find(key.encode())
    assert (found.name if found else None) == name


def test_all_errors_are_listed_and_no_key_is_quoted():
    content = {
        "keys": [
            {"name": "a b", "sha256": "fk-in-the-clear"},
            {"name": "c", "sha256": keys.digest_of("x"), "weight": 0, "may": ["everything"]},
            {"name": "d", "sha256": keys.digest_of("y"), "limit": 3},
        ]
    }
    with pytest.raises(keys.InvalidKeyFile) as caught:
        parse(content)
    message = "\n".join(caught.value.errors)
    for place in (
        "keys[0].name",
        "keys[0].sha256",
        "keys[1].weight",
        "keys[1].may",
        "keys[2].limit",
    ):
        assert place in message
    assert "in-the-clear" not in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"keys": ["alice"]}, "keys[0]: must be an object, not a string"),
        ({"keys": [entry("alice", ALICE, may="infer")]}, "keys[0].may: must be an array, not a st"),
        ({"keys": [entry("alice", ALICE, may=["observ"])]}, "did you mean 'observe'?"),
        ({"keys": [entry("alice", ALICE, limit=3)]}, "keys[0].limit: is unknown"),
        (
            {"keys": [{"name": "a", "sha256": "fk"}]},
            "sha256: must match the pattern ^[0-9a-f]{64}$",
        ),
        (
            {"keys": [entry("alice", ALICE, weight=0)]},
            "weight: must be a number above 0, up to 1000",
        ),
    ],
)
def test_an_error_says_what_is_allowed(content, says):
    with pytest.raises(keys.InvalidKeyFile) as caught:
        parse(content)
    assert says in "\n".join(caught.value.errors)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"keys: [", "line 1: invalid YAML"),
        (b"keys:\n- name: fk-in-the-clear: {", "line 2: invalid YAML"),
        (b"", "file: "),
        (b"keys: []", "keys: "),
        (b"!!python/object/apply:os.system [exit]", "invalid YAML"),
        (b"\xff\xfe\xfa", "invalid YAML"),
        (b"[" * 100_000, "invalid YAML"),
    ],
    ids=["truncated", "clear-text key", "empty", "no keys", "an object", "not text", "deep"],
)
def test_a_file_that_is_not_a_key_file_is_rejected(text, says):
    with pytest.raises(keys.InvalidKeyFile) as caught:
        keys.parse(text)
    assert says in str(caught.value)
    assert "in-the-clear" not in str(caught.value)


def test_two_keys_of_one_name_must_have_the_same_settings():
    both = [entry("alice", ALICE, weight=2), entry("alice", ALICE_NEW, weight=2)]
    ring = parse({"keys": both})
    assert {ring.find(key.encode()).name for key in (ALICE, ALICE_NEW)} == {"alice"}
    with pytest.raises(keys.InvalidKeyFile, match="same settings"):
        parse({"keys": [both[0], entry("alice", ALICE_NEW)]})


def test_one_key_cannot_have_two_names():
    with pytest.raises(keys.InvalidKeyFile, match="duplicate of the key"):
        parse({"keys": [entry("alice", ALICE), entry("bob", ALICE)]})


def test_cve_2025_59425_keys_are_compared_in_constant_time_and_all_of_them():
    tree = ast.parse(textwrap.dedent(inspect.getsource(keys.Keyring.find)))
    [loop] = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    assert not any(isinstance(node, ast.Break | ast.Return) for node in ast.walk(loop))
    assert "hmac.compare_digest(digest, expected)" in ast.unparse(loop.body[0])
    assert not any(isinstance(node, ast.Compare) for node in ast.walk(tree))
    assert keys.hmac is hmac


def test_cve_2025_59425_the_position_of_a_key_does_not_affect_the_work():
    """Compare the first key, the last key and an unknown key: an early exit takes fewer steps."""
    ring = parse({"keys": [entry(f"k{n}", f"fk-{n}") for n in range(200)]})
    presented = {"first": b"fk-0", "last": b"fk-199", "none": b"fk-x"}
    steps = {name: num_steps(functools.partial(ring.find, key)) for name, key in presented.items()}
    assert steps["first"] == steps["last"]
    assert steps["first"] - steps["none"] == 1, "the line that keeps what was found"
