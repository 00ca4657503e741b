"""The row of batches, on the dashboard of a fleet.

Gauges about the database are the same from every pod of batches.

Pure.
"""

from typing import Final

from grafana import FLEET, Panel, Query, Row, rate

BATCHES: Final = "flamingo_batches"
UNFINISHED: Final = "validating|in_progress|finalizing|cancelling"


def in_database(gauge: str, *, by: str = "", selector: str = "") -> str:
    """Return a gauge about the database, of all chosen fleets together."""
    labels = f"namespace, name, {by}" if by else "namespace, name"
    grouping = f" by ({by})" if by else ""
    found = f"{BATCHES}_{gauge}{{{FLEET}{selector}}}"
    return f"sum{grouping} (max by ({labels}) ({found}))"


ROW: Final = Row(
    "Batches",
    [
        Panel(
            "Backlog of batches",
            "Lines of batches in progress that have no result yet. They have low priority: live"
            " requests come first, and the backlog falls when there are fewer.",
            [Query(in_database("backlog_lines"), "lines")],
            runbook="FlamingoBatchesStuck",
        ),
        Panel(
            "Unfinished batches by state",
            "validating: the input is checked. in_progress: lines are sent. finalizing: the result"
            " files are written.",
            [
                Query(
                    in_database("batches", by="state", selector=f', state=~"{UNFINISHED}"'),
                    "{{state}}",
                )
            ],
        ),
        Panel(
            "Lines by outcome",
            "Lines that got a result. failed: the answer is an error, which is in the error file."
            " expired: 24 hours were over.",
            [Query(rate(f"{BATCHES}_lines_total", by="outcome"), "{{outcome}}")],
            unit="suffix: /s",
            runbook="FlamingoBatchLinesFailing",
        ),
        Panel(
            "Lines in flight",
            "Lines that wait for an answer of the routers, and how many may. The limit is halved"
            " when the fleet refuses lines, and grows again while it accepts them.",
            [
                Query(f"sum({BATCHES}_lines_in_flight{{{FLEET}}})", "in flight"),
                Query(f"sum({BATCHES}_concurrency_limit{{{FLEET}}})", "limit"),
            ],
        ),
        Panel(
            "Lines sent again by reason",
            "Attempts that failed, by the code of the error. overloaded is normal in a busy fleet;"
            " invalid_api_key means that the key of batches is wrong.",
            [Query(f"{rate(f'{BATCHES}_retries_total', by='code')} > 0", "{{code}}")],
            unit="suffix: /s",
        ),
        Panel(
            "Files of batches",
            "Bytes of all files. They fill the volume or the bucket: clips are kept until they are"
            " deleted, other files for 30 days.",
            [Query(in_database("stored_bytes"), "files")],
            unit="bytes",
        ),
    ],
)
