"""YAML files of users are read within limits."""

import pytest

from flamingo.client import yaml_files
from flamingo_common.errors import BadRequest

LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{at}: &a{at} [*a{at - 1}, *a{at - 1}, *a{at - 1}]\n" for at in range(1, 40)
)


@pytest.mark.parametrize("text", [LAUGHS, "&a [*a]", "&a {b: [1, *a]}"])
def test_aliases_that_stand_for_too_much_are_refused(tmp_path, text):
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(BadRequest, match=r"f\.yaml: its aliases stand for more than 1,000,000"):
        yaml_files.read(path, what="taxonomy")


def test_other_aliases_are_read(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("a: &a [1, 2]\nb: *a\nc: *a\n")
    assert yaml_files.read(path, what="taxonomy") == {name: [1, 2] for name in "abc"}


def test_a_depth_that_no_reader_takes_is_refused(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("[" * 5000)
    with pytest.raises(BadRequest, match=r"f\.yaml is not YAML"):
        yaml_files.read(path, what="taxonomy")
