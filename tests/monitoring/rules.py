"""The alerting and recording rules, and their unit tests for promtool."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from contract.packages import ROOT

FILE = ROOT / "helm/flamingo-operator/files/alerts.yaml"
RUNBOOKS = ROOT / "docs/runbooks.md"
UNIT_TESTS = sorted((ROOT / "tests/monitoring/alerts").glob("*.yaml"))
RULES: list[Mapping[str, Any]] = [
    rule
    for group in yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
HEALTHY = 'name="healthy"'
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_WORDS = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_+.-]*")


@dataclass(frozen=True)
class Matcher:
    """One label of a selector, and the values that it names."""

    metric: str
    label: str
    values: frozenset[str]
    """Empty if it is a pattern and no list of values."""


def metrics_in(expr: str) -> set[str]:
    """Return the metrics that an expression reads."""
    bare = re.sub(r'"[^"]*"', "", expr)
    return set(re.findall(r"\b(?:flamingo_|process_|slo:|flamingo:)[\w:]+", bare))


def matchers_in(expr: str) -> Iterator[Matcher]:
    """Yield the labels that an expression selects series by."""
    for metric, selected in re.findall(r"([\w:]+)\{([^{}]*)\}", expr):
        for label, _, text in _MATCHER.findall(selected):
            values = text.split("|")
            is_list = all(_WORDS.fullmatch(value) for value in values)
            yield Matcher(metric, label, frozenset(values if is_list else ()))


@dataclass(frozen=True)
class UnitTest:
    """One test for promtool."""

    file: Path
    name: str
    firing: frozenset[str]
    """The alerts that fire at one of its times."""
    has_healthy: bool
    """Whether it has a fleet `healthy`, about which no alert fires at any of its times."""

    @property
    def alert(self) -> str:
        """The alert that it is about: the first word of its name."""
        return self.name.split()[0]


def unit_tests() -> Iterator[UnitTest]:
    """Yield the tests of all files."""
    for file in UNIT_TESTS:
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            samples = [
                sample["labels"]
                for check in test["promql_expr_test"]
                for sample in check["exp_samples"]
            ]
            firing = re.findall(r'alertname="(\w+)"', " ".join(samples))
            series = " ".join(one["series"] for one in test["input_series"])
            has_healthy = HEALTHY in series and HEALTHY not in " ".join(samples)
            yield UnitTest(file, test["name"], frozenset(firing), has_healthy)
