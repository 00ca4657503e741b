"""From results to the printed table, without running an engine."""

import io

import pytest
from rich.console import Console

from flamingo_pod.bench import comparison, options, results, table
from flamingo_pod.bench.catalog import BUNDLED
from flamingo_pod.bench.results import (
    BenchOutput,
    BenchResult,
    FollowUpShares,
    MachineInfo,
    NoResult,
    ResourceUsage,
)

MACHINE = MachineInfo("A CPU", 2, 0.5, "abc1234+", "2.13.0", "5.23.0")


def measured(cpu_s, *tokens, first_s=0.5, **more):
    outputs = [BenchOutput(number, ids, first_s) for number, ids in enumerate(tokens)]
    return BenchResult(ResourceUsage(cpu_s, cpu_s * 1.5, 500_000_000), tuple(outputs), **more)


RIGHT = ((1, 2, 3), (4, 5))
FIRST = {
    "generate": measured(10.0, *RIGHT),
    "static": measured(8.0, (1, 2, 3), (4, 9)),
    "vllm": NoResult("vllm is not installed", is_failure=False),
    "flamingo": measured(4.0, *RIGHT, stages_s={"encode": 1.0, "decode": 3.0}),
}
SECOND = {
    **FIRST,
    "static": measured(12.0, *RIGHT),
    "flamingo": measured(
        3.0, *RIGHT, first_s=None, follow_ups=FollowUpShares((0.02, 0.013), (0.01, 0.0125))
    ),
}


def printed(rows):
    console = Console(width=200, file=io.StringIO())
    console.print(table.rich(rows))
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_ratios_are_within_a_round_and_other_figures_are_medians():
    rows = {row.engine: row for row in comparison.rows([FIRST, SECOND], FIRST)}
    assert [*rows] == ["generate", "static", "flamingo"]
    assert rows["flamingo"].times_baseline == (8 / 4 + 12 / 3) / 2
    assert rows["static"].times_baseline == 1
    assert (rows["flamingo"].cpu_s, rows["flamingo"].cpu_range_s) == (3.5, (3.0, 4.0))
    assert rows["flamingo"].first_token_p50_s is None
    assert rows["generate"].first_token_p95_s == 0.5


def test_the_worst_round_counts_for_exactness():
    rows = {row.engine: row for row in comparison.rows([FIRST, SECOND], FIRST)}
    assert (rows["flamingo"].num_exact, rows["static"].num_exact) == (2, 1)


def test_an_output_that_diverges_at_a_tie_is_counted_as_tied():
    reference = [
        BenchOutput(0, (1, 2, 3), 0.5, (1.0, 0.001, 1.0)),
        BenchOutput(1, (4, 5), 0.5, (1.0, 0.5)),
    ]
    at_a_tie, at_none = BenchOutput(0, (1, 9, 8), 0.5), BenchOutput(1, (4, 9), 0.5)
    assert comparison.num_exact([at_a_tie, at_none], reference) == 0
    assert comparison.num_tied([at_a_tie, at_none], reference) == 1


def test_an_engine_that_failed_once_has_no_row():
    failed = NoResult("exit status 1: KeyError: 1", is_failure=True)
    repeats = [{**FIRST, "static": failed}, SECOND]
    rows = comparison.rows(repeats, FIRST)
    assert [row.engine for row in rows] == ["generate", "flamingo"]
    assert comparison.without_result(repeats)["static"] == failed


def test_table_on_a_terminal():
    head, *lines = printed(comparison.rows([FIRST], FIRST))
    assert head[:3] == ["engine", "CPU-s", "wall"]
    assert lines == [
        ["generate", "10.0", "15.0", "5", "0.5", "0.80", "0.50", "0.50", "2/2", "500"],
        ["static", "8.0", "12.0", "5", "0.6", "1.00", "0.50", "0.50", "1/2", "500"],
        ["flamingo", "4.0", "6.0", "5", "1.2", "2.00", "0.50", "0.50", "2/2", "500"],
    ]


def test_a_table_without_reference_and_baseline_has_dashes():
    (row,) = comparison.rows([{"flamingo": FIRST["flamingo"]}], ["flamingo"])
    assert table.cells(row)[5] == "-"
    assert table.cells(row)[8] == "-"


def test_markdown():
    lines = table.markdown(comparison.rows([FIRST, SECOND], ["flamingo"])).splitlines()
    assert lines[0].startswith("| engine | CPU-s | wall s |")
    assert lines[1].startswith("| --- | ---: |")
    assert lines[2] == "| flamingo | 3.5 (3.0-4.0) | 5.2 | 5 | 1.4 | 3.00 | - | - | 2/2 | 500 |"


def test_footnotes_name_missing_engines_and_other_figures():
    assert table.footnotes(FIRST) == [
        "vllm: skipped: vllm is not installed",
        "flamingo: seconds by stage: encode 1.00, decode 3.00",
    ]
    assert table.footnotes({"flamingo": SECOND["flamingo"]}) == [
        ("flamingo: follow-up questions computed 2.0%, 1.3% of their prompts; 1.0%, 1.2% was new")
    ]


def test_origin_names_command_machine_and_commit():
    text = table.describe_origin(["flamingo", "bench", "engine", "--quick"], MACHINE)
    assert "`flamingo bench engine --quick` on A CPU, 2 cores" in text
    assert "commit abc1234+" in text


@pytest.mark.parametrize("done", [*SECOND.values(), FIRST["flamingo"]])
def test_a_result_reaches_the_parent_process_unchanged(done):
    assert results.parse(results.encode(done)) == done


def test_every_error_of_the_command_line_is_listed(capsys):
    argv = "engine --engines static,x,static --clips 0 --questions 2 --arrival-scale nan --seed -1"
    with pytest.raises(SystemExit, match="2"):
        options.parse([*argv.split(), "--out", "no/such/folder.json"], BUNDLED)
    text = capsys.readouterr().err.splitlines()
    assert all(line.startswith("flamingo bench: --") for line in text)
    assert [line.split()[2].rstrip(":") for line in text] == [
        "--engines",
        "--engines",
        "--clips",
        "--seed",
        "--arrival-scale",
        "--questions",
        "--out",
    ]


@pytest.mark.parametrize("argv", [[], ["engines"], ["engine", "--workload", "x"], ["engine", "-x"]])
def test_unknown_arguments_are_rejected(argv, capsys):
    with pytest.raises(SystemExit, match="2"):
        options.parse(argv, BUNDLED)
    assert "usage: flamingo bench" in capsys.readouterr().err


def test_the_default_is_sixteen_clips_for_all_engines():
    wanted = options.parse(["engine"], BUNDLED)
    assert (wanted.plan.kind, wanted.plan.num_clips) == ("staggered", 16)
    assert wanted.engines == ("generate", "static", "flamingo")
    assert wanted.model == "flamingo-tiny-27m"
