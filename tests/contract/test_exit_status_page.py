"""`docs/exit-status.md` says every exit status; running this file writes it."""

from pathlib import Path

from flamingo_common.service.exit_status import ExitStatus

PAGE = Path(__file__).parents[2] / "docs" / "exit-status.md"
HEAD = """# ExitStatus status

Why a pod, a router or `flamingo pull` ended; Kubernetes shows it as the container's exit code. A
shell adds 130 for ctrl-C, and 128 + the signal's number where a process was killed: 137 is SIGKILL,
most often for memory. Written by `python tests/contract/test_exit_status_page.py`.

| status | name | why, and what to do |
| ---: | --- | --- |
"""


def page():
    return HEAD + "".join(
        f"| {int(each)} | `{each.name}` | {each.meaning} |\n" for each in ExitStatus
    )


def test_the_page_is_what_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_status_is_its_own_and_leaves_the_shells_alone():
    numbers = [int(each) for each in ExitStatus]
    assert numbers == sorted(set(numbers))
    assert max(numbers) < 125


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
