"""Metrics of each FlamingoDeployment."""

from prometheus_client import generate_latest

from flamingo_operator.telemetry.metrics import Metrics

MUSIC = 'name="music",namespace="audio"'


def exposition(*statuses):
    metrics = Metrics()
    metrics.fleets.statuses = lambda: statuses
    return generate_latest(metrics.registry).decode()


def condition(kind, status, reason):
    return {"type": kind, "status": status, "reason": reason}


RECONCILED = {
    "observedGeneration": 3,
    "readyReplicas": 2,
    "outdatedReplicas": 1,
    "scaling": {"desiredReplicas": 3},
    "failures": [
        {"component": "server", "reason": "QuotaExceeded", "count": 1},
        {"component": "router", "reason": "QuotaExceeded", "count": 2},
    ],
    "conditions": [
        condition("Ready", "Unknown", "InvalidSpec"),
        condition("Progressing", "True", "ScalingUp"),
        condition("Exposed", "False", "AliasTaken"),
    ],
}


def test_the_status_is_read_at_every_scrape():
    text = exposition(("audio/music", 4, RECONCILED))
    for sample in (
        f'replicas{{{MUSIC},state="ready"}} 2.0',
        f'replicas{{{MUSIC},state="draining"}} 0.0',
        f"desired_replicas{{{MUSIC}}} 3.0",
        f'outdated_pods{{component="server",{MUSIC}}} 1.0',
        f'condition{{{MUSIC},type="Ready"}} -1.0',
        f'condition{{{MUSIC},type="Progressing"}} 1.0',
    ):
        assert f"flamingo_operator_{sample}\n" in text


def test_the_causes_of_failures_and_the_reasons_of_conditions_can_be_matched():
    text = exposition(("audio/music", 4, RECONCILED))
    assert f'failing_pods{{component="server",{MUSIC},reason="QuotaExceeded"}} 1.0' in text
    assert f'failing_pods{{component="router",{MUSIC},reason="QuotaExceeded"}} 2.0' in text
    for labels in (
        'reason="InvalidSpec",status="Unknown",type="Ready"',
        'reason="AliasTaken",status="False",type="Exposed"',
    ):
        assert f"condition_reason{{{MUSIC},{labels}}} 1.0" in text
    assert 'type="Progressing"' not in text.partition("operator_condition_reason")[2]


def test_a_spec_that_was_not_reconciled_yet_shows_in_the_generations():
    text = exposition(("audio/music", 4, RECONCILED))
    assert f"operator_generation{{{MUSIC}}} 4.0" in text
    assert f"operator_observed_generation{{{MUSIC}}} 3.0" in text
    new = exposition(("audio/music", 1, {"observedGeneration": -1}))
    assert f"operator_observed_generation{{{MUSIC}}} -1.0" in new
    assert "operator_replicas{" not in new


def test_a_new_deployment_whose_spec_is_invalid_has_its_conditions():
    invalid = {"observedGeneration": 1, "conditions": [condition("Stalled", "True", "InvalidSpec")]}
    text = exposition(("audio/music", 1, invalid))
    assert f'operator_condition{{{MUSIC},type="Stalled"}} 1.0' in text


def test_the_cost_is_exported_if_the_spec_has_a_price():
    cost = {"perHour": "3.80", "perAudioHour": "0.0120", "currency": "EUR"}
    text = exposition(("audio/music", 4, RECONCILED | {"cost": cost}))
    assert f'operator_cost_per_hour{{currency="EUR",{MUSIC}}} 3.8' in text
    assert f'operator_cost_per_audio_hour{{currency="EUR",{MUSIC}}} 0.012' in text
    assert "operator_cost_per_hour{" not in exposition(("audio/music", 4, RECONCILED))


def test_the_gpus_of_a_deployment_are_exported_until_it_is_deleted():
    metrics = Metrics()
    metrics.set_gpus("audio/music", 4)
    sample = f"flamingo_operator_gpus{{{MUSIC}}}"
    assert f"{sample} 4.0" in generate_latest(metrics.registry).decode()
    metrics.remove("audio/music")
    assert sample not in generate_latest(metrics.registry).decode()


def test_the_version_of_the_operator_is_a_metric():
    assert 'flamingo_operator_build_info{version="' in exposition()
