"""The difference between two specs."""

import pytest

from flamingo_operator.plugin import spec_diff


def test_changes_are_listed_field_by_field():
    before = {"replicas": 1, "gpu": {"products": ["A"]}, "pdb": {"minAvailable": 1}}
    after = {"replicas": 2, "gpu": {"products": ["A", "B"]}}
    assert [
        (one.path, one.before, one.after) for one in spec_diff.field_changes(before, after)
    ] == [
        ("gpu.products", '["A"]', '["A", "B"]'),
        ("pdb", '{"minAvailable": 1}', ""),
        ("replicas", "1", "2"),
    ]
    assert spec_diff.field_changes(after, after) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, {"replicas": 3}, ["creates a fleet of 3 GPUs"]),
        ({"replicas": 1}, {"replicas": 1}, ["no changes"]),
        ({"replicas": 1}, {"replicas": 4}, ["replaces no server pods", "GPUs: 1 → 4"]),
        ({"replicas": 2}, {"suspend": True}, ["replaces no server pods", "GPUs: 2 → 0"]),
        ({"cache": {"preload": False}}, {"cache": {"preload": True}}, ["replaces no server pods"]),
        (
            {},
            {"topologySpreadConstraints": [{"maxSkew": 1}]},
            ["replaces all server pods (rollout strategy Auto): topologySpreadConstraints changes"],
        ),
        (
            {"server": {"args": []}},
            {"server": {"args": ["-x"]}, "rollout": {"strategy": "Recreate"}},
            ["replaces all server pods (rollout strategy Recreate): server changes"],
        ),
        (
            {"replicas": 1},
            {"scaling": {"mode": "Internal", "minReplicas": 0, "maxReplicas": 8}},
            ["replaces no server pods", "GPUs: 1 → 0 to 8"],
        ),
    ],
)
def test_the_effects_of_a_change_are_described(before, after, expected):
    found = spec_diff.field_changes(before, after) if before is not None else []
    assert list(spec_diff.describe_effects(before, after, found)) == expected
