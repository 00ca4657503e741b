"""`docs/exit-status.md` has every exit status; running this file writes it."""

from pathlib import Path

from flamingo_common.service.exit_status import ExitStatus

PAGE = Path(__file__).parents[2] / "docs" / "exit-status.md"
HEAD = """# Exit status

The exit status states why a pod, a router, an operator or `flamingo pull` ended; `flamingo up` ends
with that of the service that ended it. Kubernetes reports it as the exit code of the container. A
service that is stopped with SIGTERM or ctrl-C ends with 0 or 12, and a client command that is
interrupted with ctrl-C with 130. A shell reports 128 plus the number of the signal for a process
that was killed: 137 is SIGKILL, most often because memory ran out. This page is written by
`python tests/contract/test_exit_status_page.py`.

| status | name | why, and what to do |
| ---: | --- | --- |
"""


def page():
    return HEAD + "".join(
        f"| {int(each)} | `{each.name}` | {each.meaning} |\n" for each in ExitStatus
    )


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page()


def test_statuses_are_unique_and_below_those_of_shells():
    numbers = [int(each) for each in ExitStatus]
    assert numbers == sorted(set(numbers))
    assert max(numbers) < 125


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
