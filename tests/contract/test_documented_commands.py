"""Every command that a page tells its readers to run is run by a test, or a table says why not.

If this test names your command: let a test run it. A test takes commands from a selection in
`tests/documents/selections.py`; a page about Kubernetes is best followed as a whole
(`tests/control_plane/test_documents.py` without a node, `tests/cluster` with one). Only what cannot
be run here belongs into the table of `tests/documents/not_run.py`.
"""

import ast
from collections import Counter

import pytest
from documents import not_run, pages, selections, shape

MAX_NOT_RUN_PERCENT = 15


def lines(commands):
    return [f"{one.place}: {one.text.splitlines()[0]}" for one in commands]


def is_repeated(command, run):
    """Whether another page has it, and it is run there, with the same output or more of it."""
    shown = _lines(command) - {"", shape.ELLIPSIS}
    same = (one for one in run if one.text == command.text and one.language == command.language)
    return any(shown <= _lines(one) for one in same)


def _lines(command):
    return {shape.normalised(line) for line in command.output or ()}


def test_every_command_is_run_by_a_test_or_is_in_the_table_of_those_that_are_not():
    run = [one for selection in selections.ALL.values() for one in selection.commands()]
    known = {one.place for one in run}
    missing = [
        command
        for command in pages.all_commands()
        if command.place not in known
        and not not_run.reason_for(command)
        and not is_repeated(command, run)
    ]
    advice = "let a document test run these, or add them to documents/not_run.py with a reason:"
    assert missing == [], "\n".join([advice, *lines(missing)])


def test_each_entry_of_the_table_covers_a_command_that_no_other_does():
    covering = Counter(
        (one.page, one.begins)
        for command in pages.all_commands()
        for one in not_run.TABLE
        if one.covers(command)
    )
    stale = [one for one in not_run.TABLE if not covering[one.page, one.begins]]
    assert stale == [], "no page has such a command any more"
    assert len({(one.page, one.begins) for one in not_run.TABLE}) == len(not_run.TABLE)


def test_few_commands_are_not_run():
    commands = pages.all_commands()
    missing = [one for one in commands if not_run.reason_for(one)]
    assert len(missing) * 100 <= len(commands) * MAX_NOT_RUN_PERCENT, lines(missing)


@pytest.mark.parametrize("name", selections.ALL)
def test_a_selection_takes_commands_and_its_test_runs_them(name):
    """Whoever deletes a page, or the test that runs it, learns it here."""
    selection = selections.ALL[name]
    assert selection.commands(), "no page has such a command"
    tree = ast.parse((pages.ROOT / selection.test).read_text(encoding="utf-8"))
    names = {one.id for one in ast.walk(tree) if isinstance(one, ast.Name)}
    attributes = {one.attr for one in ast.walk(tree) if isinstance(one, ast.Attribute)}
    aliases = {
        one.name: one.asname or one.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "documents.selections"
        for one in node.names
    }
    assert name in attributes or aliases.get(name) in names, f"{selection.test} does not use it"


def test_what_a_change_must_pass_is_what_the_pages_say():
    script = (pages.ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {one.text for one in selections.CI.commands()} <= set(script)
