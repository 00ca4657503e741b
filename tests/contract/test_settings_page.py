"""`docs/settings.md` has every setting; running this file writes it."""

from pathlib import Path

import pytest

from flamingo_batches.settings import Settings as BatchesSettings
from flamingo_operator.settings import Settings as OperatorSettings
from flamingo_pod.settings import Settings as PodSettings
from flamingo_router.settings import Settings as RouterSettings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
SERVICES = {
    "flamingo serve": PodSettings,
    "flamingo router": RouterSettings,
    "flamingo operator": OperatorSettings,
    "flamingo batches": BatchesSettings,
}
HEAD = """# Settings

A flag takes precedence over its environment variable, a variable over the file that `--config`
sets, and the file over the default. The file is YAML; its names have underscores, as in
`max_num_seqs: 12`. An unknown name is an error that suggests the closest setting, and all errors
are reported at once. `flamingo config show pod` (or `router`, `operator`, `batches`) prints the
effective settings and the source of each, in the format of the file; `flamingo config schema pod`
prints the JSON schema of the file. `flamingo serve --help` shows the same in groups,
`--help=engine` one of them, and `--help=cache` the flags with a word. This page is written by
`python tests/contract/test_settings_page.py`.

A pod has one name everywhere but in its command: `flamingo serve` is vLLM's word for what starts a
pod, its variables begin with `FLAMINGO_POD_`, and `flamingo config show` takes both names.

The command line reads `FLAMINGO_URL` (address of the fleet), `FLAMINGO_API_KEY`, and
`FLAMINGO_CACHE` (directory of the built-in models; default: the user's cache directory).
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


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("kind", SERVICES.values(), ids=SERVICES)
def test_every_setting_has_a_description(kind):
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
