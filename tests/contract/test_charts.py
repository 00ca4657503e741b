"""Generated files of the charts: schemas and tables of values."""

import json
from pathlib import Path

import fleet_schema
import operator_schema
import pytest
import readme

HELM = Path(__file__).parents[2] / "helm"


def test_the_schema_of_a_fleet_s_values_is_generated_from_the_types():
    assert fleet_schema.FILE.read_text() == fleet_schema.to_json(), "run make charts"


def test_the_schema_of_the_operator_s_values_is_generated_from_their_comments():
    written = operator_schema.FILE.read_text()
    assert written == operator_schema.to_json(), "run make charts"


@pytest.mark.parametrize("chart", readme.charts(), ids=lambda chart: chart.name)
def test_the_table_of_values_is_that_of_the_values(chart):
    assert (chart / "README.md").read_text() == readme.with_table(chart), "run make charts"


@pytest.mark.parametrize("chart", readme.charts(), ids=lambda chart: chart.name)
def test_every_value_is_described(chart):
    rows = readme.rows((chart / "values.yaml").read_text())
    assert [name for name, _, description in rows if not description] == []


def test_every_field_of_the_spec_is_a_value():
    values = json.loads(fleet_schema.FILE.read_text())["properties"]
    fields = fleet_schema.spec_schema()["properties"].keys()
    assert fields <= values.keys()
    own = values.keys() - fields
    template = (HELM / "flamingo" / "templates" / "_helpers.tpl").read_text()
    (line,) = (one for one in template.splitlines() if one.startswith("{{- $own := list"))
    assert {word.strip('"') for word in line.split()[4:-1]} == own
