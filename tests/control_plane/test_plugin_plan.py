"""`kubectl flamingo plan`, and the completion of its command line, against a real API server."""

import json
import os
import subprocess
import sys

import pytest
from control_plane.deployments import deployment
from control_plane.plugin_process import run_plugin

NAME = "planned"
STRICT = (
    'FlamingoDeployment in version "v1alpha1" cannot be handled as a FlamingoDeployment: strict'
    ' decoding error: unknown field "spec.servr" (did you mean spec.server?)'
)


@pytest.fixture(scope="module")
def applied(cluster):
    """Apply a manifest, as users do, and let an autoscaler write the number of replicas."""
    given = deployment({"server": {"args": ["--a=1"], "env": []}}, name=NAME)
    cluster.output("apply", "-f", "-", body=given)
    cluster.output("scale", "fd", NAME, "--replicas=3")
    yield given
    cluster.output("delete", "fd", NAME)


def plan(cluster, spec, *args, name=NAME, expected=1):
    done = run_plugin(cluster, "plan", "-", *args, body=deployment(spec, name=name))
    assert done.returncode == expected, done.stderr
    return done.stdout if expected < 2 else done.stderr


def fields(cluster, spec, **more):
    shown = json.loads(plan(cluster, spec, "-o", "json", **more))
    return {one["field"] for one in shown["items"][0]["changes"]}


def test_the_exit_status_is_that_of_kubectl_diff(cluster, applied):
    assert "no changes" in plan(cluster, {"server": {"args": ["--a=1"], "env": []}}, expected=0)
    plan(cluster, {"server": {"args": ["--a=2"]}}, expected=1)
    assert "spec.replicas" in plan(cluster, {"replicas": "3"}, expected=2)
    done = run_plugin(cluster, "plan", "/nowhere.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot read /nowhere.yaml" in done.stderr


def test_a_manifest_is_given_as_to_kubectl_or_by_its_name_alone(cluster, applied):
    given = deployment({"server": {"args": ["--a=2"], "env": []}}, name=NAME)
    named = run_plugin(cluster, "plan", "-f", "-", body=given)
    assert (named.returncode, named.stdout) == (1, plan(cluster, given["spec"]))
    for args in ((), ("a.yaml", "-f", "b.yaml")):
        done = run_plugin(cluster, "plan", *args)
        assert (done.returncode, done.stdout) == (2, "")
        assert "give one manifest file: FILE or -f FILE" in done.stderr


def test_a_plan_is_what_kubectl_apply_would_change_and_changes_nothing(cluster, applied):
    before = cluster.stored(NAME)["metadata"]["generation"]
    # What another one wrote stays, and what the last manifest had goes.
    assert fields(cluster, {"server": {"env": []}}) == {"spec.server.args"}
    text = plan(cluster, {"server": {"args": ["--a=2"], "env": []}})
    assert "because of spec.server.args (rollout strategy Auto)" in text
    assert cluster.stored(NAME)["metadata"]["generation"] == before
    for spec in ({}, {"server": {"args": ["--b"]}}):
        wanted = deployment(spec, name=NAME)
        done = cluster.call("diff", "-f", "-", body=wanted)
        assert (done.returncode == 1) == bool(fields(cluster, spec)), done.stderr


def test_a_plan_for_an_object_of_server_side_apply_is_that_of_its_manager(cluster):
    name = "applied-by-server"
    apply = ("apply", "--server-side", "--field-manager=gitops", "-f", "-")
    cluster.output(*apply, body=deployment({"server": {"args": ["--a"]}}, name=name))
    cluster.output("scale", "fd", name, "--replicas=3")
    assert fields(cluster, {}, name=name) == {"spec.server.args"}
    assert "field not declared in schema (did you mean spec.server?)" in plan(
        cluster, {"servr": {}}, name=name, expected=2
    )


def test_a_plan_of_a_new_fleet_shows_its_pods_and_gpus(cluster):
    text = plan(cluster, {"replicas": 3}, name="new")
    assert "3 server pods created; GPUs: 0 now, 3 at the peak, 3 at the end" in text
    assert "create Pod new-" in text
    assert cluster.call("get", "fd", "new").returncode != 0


@pytest.mark.parametrize("name", [NAME, "new"])
def test_a_typo_is_answered_in_the_words_of_the_api_server(cluster, applied, name):
    wrong = {"servr": {"image": "a"}}
    assert plan(cluster, wrong, name=name, expected=2) == f"kubectl flamingo: -: {STRICT}\n"
    # A new object gets the same words from kubectl.
    done = cluster.call("create", "-f", "-", body=deployment(wrong, name="other"))
    assert STRICT.partition(" (did")[0] in done.stderr


def test_rules_are_answered_by_the_api_server(cluster, applied):
    error = plan(cluster, {"rollout": {"maxSurge": 0}}, expected=2)
    assert "must not both be 0" in error
    nameless = deployment({})
    del nameless["metadata"]["name"]
    done = run_plugin(cluster, "plan", "-", body=nameless)
    assert "metadata.name is required" in done.stderr


def test_kubectl_completes_commands_options_and_names(cluster, applied, tmp_path):
    for name, function in (("kubectl-flamingo", "main"), ("kubectl_complete-flamingo", "complete")):
        program = f"from flamingo_operator.plugin.main import {function}; {function}()"
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}" "$@"\n')
        (tmp_path / name).chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "KUBECONFIG": str(cluster.kubeconfig)}

    def complete(*words):
        command = [cluster.kubectl, "__complete", "flamingo", *words]
        done = subprocess.run(
            command, env={**os.environ, **path}, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    assert complete("his")[0].startswith("history\t")
    assert complete("status", NAME[:3]) == [NAME, ":4"]
    assert complete("status", "-n", "kube-sys") == ["kube-system", ":4"]
    assert complete("wait", "--for=ro") == ["--for=rollout", ":4"]
    assert complete("plan", "")[-1] == ":0"
