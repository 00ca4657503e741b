"""What `plan` and `history` print, without a cluster."""

import io
import json

from rich.console import Console

from flamingo_operator.forecast import Forecast, GpuForecast
from flamingo_operator.plugin import change_views
from flamingo_operator.plugin.change_views import PlannedChange
from flamingo_operator.plugin.revision_history import HistoryRow
from flamingo_operator.plugin.spec_diff import FieldChange

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z
LONG = "a-deployment-with-a-name-of-forty-chars-"
CHANGE = FieldChange("spec.scaling.objective.queueWaitSeconds", "60", json.dumps("x" * 99))


def shown(what, width=80):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(what)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def planned(spec=None, **fields):
    body = {"metadata": {"name": LONG, "namespace": "audio"}, "spec": spec or {}}
    given = {"is_new": False, "changes": [], "causes": [], "expected": Forecast(), **fields}
    return PlannedChange(deployment=body, **given)


def test_plan_and_history_fit_into_eighty_columns_and_lose_nothing():
    actions = tuple(f"drain Pod {LONG}-0123456789-{number}" for number in range(30))
    found = Forecast(30, 0, 0, GpuForecast(30, 31, 30), actions)
    change = planned(changes=[CHANGE], causes=[f"spec.server.args{i}" for i in range(9)])
    rows = [
        HistoryRow(
            number=1000,
            hash="0123456789",
            created="2025-12-30T00:00:00Z",
            image=f"registry.example/{'a' * 60}:1",
            num_pods=100,
            state="rolling out",
            changes=("spec.server.image", "spec.server.podMetadata.annotations[x.example/y]"),
        )
    ]
    for view in (
        change_views.plan(change),
        change_views.plan(planned(changes=[CHANGE], expected=found)),
        change_views.history(rows, now_s=NOW_S),
    ):
        text = shown(view)
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text


def test_a_plan_says_what_changes_the_pods_and_what_holds_them():
    found = Forecast(3, 0, 0, GpuForecast(3, 4, 3), ("create Pod a",))
    spec = {"rollout": {"strategy": "Recreate"}, "replicas": 3}
    change = planned(spec, changes=[CHANGE], causes=["spec.server.image"], expected=found)
    text = shown(change_views.plan(change), width=200)
    assert "3 server pods replaced; GPUs: 3 now, 4 at the peak, 3 at the end" in text
    assert "because of spec.server.image (rollout strategy Recreate)" in text
    assert "create Pod a" in text
    held = {"rollout": {"paused": True}, "paused": True}
    text = shown(change_views.plan(planned(held)), width=200)
    assert text.splitlines()[1:] == [
        "  no changes",
        "  spec.rollout.paused is true: no server pod is replaced until it is false",
        "  spec.paused is true: nothing is done until it is false",
    ]


def test_a_plan_without_a_forecast_still_says_whether_pods_are_replaced():
    for causes, expected in ((["spec.server.image"], "replaces all"), ([], "replaces no")):
        change = planned(changes=[CHANGE], causes=causes, expected=None)
        assert f"{expected} server pods" in shown(change_views.plan(change))


def test_a_plan_of_a_fleet_that_scales_by_itself_shows_its_range():
    spec = {"scaling": {"mode": "Internal", "minReplicas": 0, "maxReplicas": 8}}
    text = shown(change_views.plan(planned(spec, is_new=True)))
    assert "creates the FlamingoDeployment" in text
    assert "scaling range: 0 to 8 server pods" in text


def test_the_names_of_keys_and_items_are_part_of_a_field():
    path = "spec.server.podMetadata.annotations[x.example/y]"
    row = HistoryRow(
        number=1,
        hash="0123456789",
        created="2025-12-30T00:00:00Z",
        image="pod:1",
        num_pods=1,
        state="current",
        changes=(path,),
    )
    assert path in shown(change_views.plan(planned(changes=[FieldChange(path, "", "1")])), 120)
    assert path in shown(change_views.history([row], now_s=NOW_S), 160)
