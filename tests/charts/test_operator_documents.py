"""What the pages say of the values of the operator's chart."""

import pytest
import yaml
from charts.helm import OPERATOR, of_kind
from documents.selections import ALERT_VALUES

RULES = "--api-versions=monitoring.coreos.com/v1/PrometheusRule"
EXAMPLES = [pytest.param(one.text, id=one.place) for one in ALERT_VALUES.commands()]


@pytest.mark.parametrize("text", EXAMPLES)
def test_values_for_the_alerts_are_taken(helm, text):
    assert of_kind(helm.render(OPERATOR, yaml.safe_load(text), RULES), "PrometheusRule")["spec"][
        "groups"
    ]
