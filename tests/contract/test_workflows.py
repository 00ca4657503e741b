"""The workflows of the repository: valid, pinned, and with no more permissions than they need.

They have not been run; `release/*.sh` and `release/*.py`, which they call, are tested here too.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
USES = re.compile(
    r"^\s*(?:- )?uses: (?P<action>[\w/.-]+)@(?P<ref>\S+)(?P<comment>.*)$", re.MULTILINE
)
SUBSTITUTION = re.compile(r"\$\{\{.*?\}\}")

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def jobs(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]


def steps():
    for path in WORKFLOWS:
        for name, job in jobs(path).items():
            for number, step in enumerate(job["steps"]):
                yield pytest.param(step, id=f"{path.stem}-{name}-{number}")


def scripts():
    return [one for one in steps() if "run" in one.values[0]]


@each_workflow
def test_a_workflow_follows_githubs_schema(path):
    check = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    done = subprocess.run([*check, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@each_workflow
def test_zizmor_finds_nothing_in_a_workflow(path):
    program = [Path(sys.executable).with_name("zizmor"), "--offline", "--persona", "auditor"]
    done = subprocess.run([*program, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@each_workflow
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(path):
    found = list(USES.finditer(path.read_text(encoding="utf-8")))
    assert found
    for one in found:
        assert re.fullmatch(r"[0-9a-f]{40}", one["ref"]), one[0]
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", one["comment"]), one[0]


def test_an_action_has_one_version_in_all_workflows():
    pins = {}
    for path in WORKFLOWS:
        for one in USES.finditer(path.read_text(encoding="utf-8")):
            pins.setdefault(one["action"], set()).add((one["ref"], one["comment"]))
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


@each_workflow
def test_a_workflow_has_no_permissions_and_its_jobs_say_theirs(path):
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert body["permissions"] == {}
    assert body["concurrency"]
    for name, job in body["jobs"].items():
        assert job["timeout-minutes"], name
        assert isinstance(job["permissions"], dict), name
        writes = {key for key, value in job["permissions"].items() if value == "write"}
        assert "release" in path.stem or not writes, name


def test_only_the_last_job_may_change_the_repository():
    found = jobs(ROOT / ".github" / "workflows" / "release.yaml")
    writers = [name for name, job in found.items() if job["permissions"].get("contents") == "write"]
    assert writers == ["github"]
    assert found["github"]["needs"] == ["distributions", "pypi"]


def test_pypi_gets_no_token():
    text = (ROOT / ".github" / "workflows" / "release.yaml").read_text(encoding="utf-8")
    assert "password" not in str(jobs(ROOT / ".github" / "workflows" / "release.yaml")["pypi"])
    assert set(re.findall(r"secrets\.(\w+)", text)) == {"GITHUB_TOKEN"}


@pytest.mark.parametrize("step", scripts())
def test_a_script_is_bash_and_its_files_exist(step):
    script = SUBSTITUTION.sub("x", step["run"])
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    named = re.findall(r"\b(?:release|helm|tests)/[\w./-]+\.(?:py|sh|txt)\b", script)
    assert [name for name in named if not (ROOT / name).is_file()] == []
    targets = re.findall(r"^\s*make (\w+)", script, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [one for one in targets if not re.search(rf"^{one}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("step", scripts())
def test_no_script_is_made_of_what_others_may_have_written(step):
    # `${{ github.ref_name }}` in a script would run a tag's name; a variable does not.
    assert "${{" not in step["run"]


def test_all_images_are_built_and_the_pod_for_the_platform_of_its_lock():
    found = jobs(ROOT / ".github" / "workflows" / "release.yaml")["images"]
    platforms = {one["image"]: one["platforms"] for one in found["strategy"]["matrix"]["include"]}
    assert platforms == {
        "pod": "linux/amd64",
        "router": "linux/amd64,linux/arm64",
        "operator": "linux/amd64,linux/arm64",
        "batches": "linux/amd64,linux/arm64",
    }
