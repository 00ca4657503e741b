"""`docs/settings.md` says every setting; running this file writes it."""

from pathlib import Path

import pytest

from flamingo_operator.settings import Settings as OperatorSettings
from flamingo_pod.settings import Settings as PodSettings
from flamingo_router.settings import Settings as RouterSettings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
SERVICES = {
    "flamingo serve": PodSettings,
    "flamingo router": RouterSettings,
    "flamingo operator": OperatorSettings,
}
HEAD = """# Settings

A flag wins over its variable, a variable over the file that `--config` names, the file over the
default. The file is YAML and names settings as `max_num_seqs: 12`, with underscores. A name that is
no setting is an error that says the closest one, and all faults are told at once.
`flamingo config show pod` (or `router`) prints what is in force and where each value comes from, as
a file that can be used again; `flamingo config schema pod` prints the file's JSON schema.
Written by `python tests/contract/test_settings_page.py`.

For people: `FLAMINGO_URL` (the fleet's address), `FLAMINGO_API_KEY`, and `FLAMINGO_CACHE` (where
built-in models are built; default: the user's cache folder).
"""


def default(field):
    value = "" if field.is_required() else field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    return "" if value is None or value == [] else f"`{value}`"


def rows(kind):
    prefix = kind.model_config["env_prefix"]
    for name, field in kind.model_fields.items():
        flag = "--" + name.replace("_", "-")
        meaning = " ".join((field.description or "").split())
        yield f"| `{flag}` | `{prefix}{name.upper()}` | {default(field)} | {meaning} |"


def page():
    parts = [HEAD]
    for command, kind in SERVICES.items():
        head = "| flag | variable | default | meaning |\n| --- | --- | --- | --- |"
        parts.append("\n".join([f"\n## `{command}`\n", head, *rows(kind)]) + "\n")
    return "".join(parts)


def test_the_page_is_what_the_settings_say():
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("kind", SERVICES.values(), ids=SERVICES)
def test_every_setting_has_a_sentence(kind):
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
