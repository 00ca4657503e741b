"""How the tests read the pages: blocks, commands, and what a page shows of a program's output."""

import pytest
from documents import shape
from documents.blocks import blocks, is_complete

PAGE = """# Title

## First

```sh
# a comment
make up      # starts it
curl -d '{
  "a": "# no comment"
}' http://a |
  cat
cat <<END > b
$c
END
(echo a; \\
 echo b)
```

### Inner

- In a list:

  ```yaml music.yaml
  a: [1]
  ```

## Second

```
$ kubectl get fd   # all of them
NAME
music

$ kubectl \\
>   get pods
```

```
only an output
```

```json
{}
```
"""


def commands():
    return [one for block in blocks("p.md", PAGE) for one in block.commands]


def test_a_command_ends_where_a_shell_would_run_it():
    found = [one.text for one in commands() if one.headings == ("Title", "First")]
    assert found == [
        "make up",
        'curl -d \'{\n  "a": "# no comment"\n}\' http://a |\n  cat',
        "cat <<END > b\n$c\nEND",
        "(echo a; \\\n echo b)",
    ]


def test_a_terminal_has_commands_and_what_each_prints():
    first, second = (one for one in commands() if one.headings[-1] == "Second")
    assert (first.text, first.output) == ("kubectl get fd", ("NAME", "music", ""))
    assert (second.text, second.output) == ("kubectl \\\n  get pods", ())


def test_a_command_knows_its_place_and_its_headings_and_the_file_that_it_is():
    (file,) = (one for one in commands() if one.language == "yaml")
    assert (file.text, file.file, file.headings) == (
        "a: [1]\n",
        "music.yaml",
        ("Title", "First", "Inner"),
    )
    assert {one.text: one.place for one in commands()}["make up"] == "p.md:7"


def test_a_block_that_is_not_closed_is_an_error_with_its_place():
    with pytest.raises(ValueError, match=r"p\.md:2: the block is not closed"):
        list(blocks("p.md", "\n```sh\nmake up\n"))


@pytest.mark.parametrize(
    "text",
    ["a", "a 'b # c'", "a # it's", 'a "b\\"c"', "for a in b; do c; done", "(a)", "a <<E\nb\nE"],
)
def test_a_whole_command_is_complete(text):
    assert is_complete(text)


@pytest.mark.parametrize(
    "text", ["a \\", "a |", "a &&", "a 'b", 'a "b', "(a", "for a in b; do", "a <<E\nb", "a || # b"]
)
def test_a_command_that_goes_on_is_not_complete(text):
    assert not is_complete(text)


def test_an_output_may_differ_in_what_no_two_runs_share():
    page = """NAME                                READY   STATUS    RESTARTS   AGE
pod/music-e6c1c38a2a-0              1/1     Running   0          2m21s
pod/music-router-85b5bc76b5-czrlx   1/1     Running   0          21s"""
    printed = """NAME                              READY   STATUS    RESTARTS   AGE
pod/music-router-85bc76b5-sxhbp   1/1     Running   0          1d4h
pod/music-0123456789-0            1/1     Running   0          4s
"""
    assert shape.differences(page.splitlines(), printed) == []


@pytest.mark.parametrize(
    ("page", "printed", "found"),
    [
        ("a b\n1 2", "a b\n1 3", ["only in the page: 1 2", "only printed: 1 3"]),
        ("a\n…", "a\nb\nc", []),
        ("…\nc", "a\nb", ["only in the page: c"]),
        ("Error: … failed", "Error: it failed", []),
        ("a\na", "a", ["only in the page: a"]),
        ("since 2026-11-24T22:52:00Z", "since 2030-01-01T00:00:00Z", []),
    ],
)
def test_a_difference_is_named(page, printed, found):
    assert shape.differences(page.splitlines(), printed) == found
