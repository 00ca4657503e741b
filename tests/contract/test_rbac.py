"""The operator's rules: what the code touches, and no more."""

from pathlib import Path

import yaml

from flamingo_operator import rbac
from flamingo_operator.cluster import kinds

FILE = Path(__file__).parents[2] / rbac.FILE
RULES = rbac.rules() + rbac.cluster_rules() + rbac.own_rules()


def test_the_file_is_what_the_code_says():
    assert FILE.read_text() == rbac.text(), "run python -m flamingo_operator.rbac"
    assert yaml.safe_load(FILE.read_text())["namespaceRules"] == rbac.rules()


def test_there_is_no_wildcard_and_no_way_to_more():
    said = [word for rule in RULES for part in rule.values() for word in part]
    assert "*" not in said
    assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(said)
    assert not {"secrets", "pods/exec", "configmaps"} & set(said)


def test_every_kind_that_is_made_has_a_rule():
    ruled = {name for rule in RULES for name in rule["resources"]}
    assert {kind.plural for kind in kinds.BY_NAME.values()} <= ruled


def test_a_claim_cannot_be_deleted():
    (rule,) = [one for one in RULES if one["resources"] == ["persistentvolumeclaims"]]
    assert "delete" not in rule["verbs"]
