"""The operator's RBAC rules: what the code needs, and no more."""

from pathlib import Path

import yaml

from flamingo_operator import rbac
from flamingo_operator.cluster import kinds

FILE = Path(__file__).parents[2] / rbac.FILE
RULES = rbac.rules() + rbac.cluster_rules() + rbac.own_rules()


def test_the_file_is_generated_from_the_code():
    assert FILE.read_text() == rbac.to_yaml(), "run python -m flamingo_operator.rbac"
    assert yaml.safe_load(FILE.read_text())["namespaceRules"] == rbac.rules()


def test_there_are_no_wildcards_and_no_privilege_escalation():
    words = [word for rule in RULES for part in rule.values() for word in part]
    assert "*" not in words
    assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(words)
    assert not {"secrets", "pods/exec", "configmaps"} & set(words)


def test_every_owned_kind_has_a_rule():
    resources = {name for rule in RULES for name in rule["resources"]}
    assert {kind.plural for kind in kinds.BY_NAME.values()} <= resources


def test_a_claim_cannot_be_deleted():
    (rule,) = [one for one in RULES if one["resources"] == ["persistentvolumeclaims"]]
    assert "delete" not in rule["verbs"]
