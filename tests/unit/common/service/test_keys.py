"""Key files, what becomes of them when they change, and who gets in."""

import ast
import asyncio
import functools
import hmac
import inspect
import json
import os
import re
import textwrap
import time

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fakes.steps import num_steps
from typer.testing import CliRunner

from flamingo import cli
from flamingo_common import errors
from flamingo_common.service import auth, http, keys, settings
from flamingo_common.service.reloading_file import ReloadingFile

ALICE, ALICE_NEW, BOB, EYE = "fk-alice-1", "fk-alice-2", "fk-bob", "fk-eye"


def entry(name, key, **terms):
    return {"name": name, "sha256": keys.digest_of(key)} | terms


FILE = {
    "keys": [
        entry("alice", ALICE, weight=2, max_concurrent=4),
        entry("bob", BOB, requests_per_minute=60, audio_seconds_per_minute=600),
        entry("eye", EYE, may=["observe"]),
    ]
}


def parse(told):
    return keys.parse(json.dumps(told).encode())


def test_the_file_may_be_yaml_or_json_and_limits_are_optional():
    yaml = f"keys:\n- name: alice\n  sha256: {keys.digest_of(ALICE)}\n"
    [alice] = keys.parse(yaml.encode()).keys
    assert (alice.weight, alice.max_concurrent, alice.may) == (1, None, {"infer"})
    bob = parse(FILE).names["bob"]
    assert (bob.requests_per_minute, bob.audio_seconds_per_minute) == (60, 600)


@pytest.mark.parametrize(
    ("key", "name"), [(ALICE, "alice"), (BOB, "bob"), ("fk-", None), ("", None)]
)
def test_a_key_has_one_holder_or_none(key, name):
    found = parse(FILE).find(key.encode())
    assert (found.name if found else None) == name


def test_every_fault_is_told_at_once_and_no_key_is_quoted():
    told = {
        "keys": [
            {"name": "a b", "sha256": "fk-in-the-clear"},
            {"name": "c", "sha256": keys.digest_of("x"), "weight": 0, "may": ["everything"]},
            {"name": "d", "sha256": keys.digest_of("y"), "limit": 3},
        ]
    }
    with pytest.raises(keys.InvalidKeyFile) as caught:
        parse(told)
    said = "\n".join(caught.value.faults)
    for place in (
        "keys[0].name",
        "keys[0].sha256",
        "keys[1].weight",
        "keys[1].may",
        "keys[2].limit",
    ):
        assert place in said
    assert "in-the-clear" not in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"keys: [", "line 1: not valid YAML"),
        (b"keys:\n- name: fk-in-the-clear: {", "line 2: not valid YAML"),
        (b"", "file: "),
        (b"keys: []", "keys: "),
        (b"!!python/object/apply:os.system [exit]", "not valid YAML"),
        (b"\xff\xfe\xfa", "not valid YAML"),
        (b"[" * 100_000, "not valid YAML"),
    ],
    ids=["cut", "a key in the clear", "empty", "no keys", "an object", "no text", "deep"],
)
def test_a_file_that_is_no_key_file_is_refused(text, says):
    with pytest.raises(keys.InvalidKeyFile) as caught:
        keys.parse(text)
    assert says in str(caught.value)
    assert "in-the-clear" not in str(caught.value)


def test_two_keys_of_one_name_are_one_callers_and_must_agree():
    both = [entry("alice", ALICE, weight=2), entry("alice", ALICE_NEW, weight=2)]
    ring = parse({"keys": both})
    assert {ring.find(key.encode()).name for key in (ALICE, ALICE_NEW)} == {"alice"}
    with pytest.raises(keys.InvalidKeyFile, match="other terms"):
        parse({"keys": [both[0], entry("alice", ALICE_NEW)]})


def test_one_key_cannot_be_two_callers():
    with pytest.raises(keys.InvalidKeyFile, match="the same key as"):
        parse({"keys": [entry("alice", ALICE), entry("bob", ALICE)]})


def test_cve_2025_59425_keys_are_compared_in_constant_time_and_all_of_them():
    tree = ast.parse(textwrap.dedent(inspect.getsource(keys.Keyring.find)))
    [loop] = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
    assert not any(isinstance(node, ast.Break | ast.Return) for node in ast.walk(loop))
    assert "hmac.compare_digest(digest, expected)" in ast.unparse(loop.body[0])
    assert not any(isinstance(node, ast.Compare) for node in ast.walk(tree))
    assert keys.hmac is hmac


def test_cve_2025_59425_the_place_of_a_key_does_not_show_in_the_work():
    """The first, the last and no key: an early exit would take fewer steps."""
    ring = parse({"keys": [entry(f"k{n}", f"fk-{n}") for n in range(200)]})
    asked = {"first": b"fk-0", "last": b"fk-199", "none": b"fk-x"}
    steps = {name: num_steps(functools.partial(ring.find, key)) for name, key in asked.items()}
    assert steps["first"] == steps["last"]
    assert steps["first"] - steps["none"] == 1, "the line that keeps what was found"


def swap(folder, told):
    """Change the file as Kubernetes changes a mounted Secret."""
    data = folder / f"..{time.monotonic_ns()}"
    data.mkdir()
    (data / "keys").write_text(told if isinstance(told, str) else json.dumps(told))
    (folder / "..new").symlink_to(data.name)
    (folder / "..new").rename(folder / "..data")
    if not (folder / "keys").is_symlink():
        (folder / "keys").symlink_to("..data/keys")
    return folder / "keys"


def test_a_swapped_secret_is_read_and_a_broken_one_told_once(tmp_path):
    live = ReloadingFile(swap(tmp_path, FILE), keys.parse)
    with structlog.testing.capture_logs() as logged:
        swap(tmp_path, {"keys": [entry("carol", "fk-c")]})
        live.refresh()
        assert set(live.value.names) == {"carol"}
        swap(tmp_path, "keys: [")
        live.refresh()
        live.refresh()
        assert set(live.value.names) == {"carol"}
        (tmp_path / "..data").unlink()
        live.refresh()
        live.refresh()
        assert set(live.value.names) == {"carol"}
        swap(tmp_path, FILE)
        live.refresh()
    assert set(live.value.names) == {"alice", "bob", "eye"}
    levels = [line["log_level"] for line in logged]
    assert levels == ["info", "error", "error", "info"]


PROBES = ("/health/live", "/health/ready")


@pytest.fixture
def door(tmp_path):
    """Return a function that runs `scenario(client)` against an app that asks for keys."""

    async def answer(request):
        found = auth.caller(request)
        return web.json_response({"caller": found.name if found else None})

    def ask(scenario):
        async def main():
            app = http.create_app(max_body_bytes=1024)
            for route in (
                "/v1/models",
                "/v1/models/{id:.+}",
                "/stats",
                "/health/live",
                "/health/ready",
            ):
                app.router.add_get(route, answer)
            app.router.add_post("/v1/chat/completions", answer)
            auth.add_to(app, swap(tmp_path, FILE))
            async with TestClient(TestServer(app)) as client:
                return await scenario(client)

        return asyncio.run(main())

    return ask


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_a_known_key_gets_in_and_names_the_caller(door):
    async def scenario(client):
        answer = await client.post("/v1/chat/completions", headers=bearer(ALICE))
        return answer.status, await answer.json()

    assert door(scenario) == (200, {"caller": "alice"})


WRONG = {
    "none": {},
    "another": bearer("fk-guess"),
    "empty": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": f"Basic {ALICE}"},
    "no scheme": {"Authorization": ALICE},
    "in another header": {"X-Api-Key": ALICE},
    "its hash": bearer(keys.digest_of(ALICE)),
    "a prefix": bearer(ALICE[:-1]),
    "bytes that are no text": {"Authorization": "Bearer \udcff\udcfe"},
}


def test_all_refusals_are_the_same(door):
    async def scenario(client):
        told = []
        for headers in WRONG.values():
            answer = await client.post("/v1/chat/completions", headers=headers)
            told.append((answer.status, await answer.json(), answer.headers["WWW-Authenticate"]))
        return told

    first, *others = door(scenario)
    assert all(other == first for other in others)
    status, body, challenge = first
    assert (status, challenge) == (401, "Bearer")
    assert errors.from_response(status, json.dumps(body).encode()).code == "invalid_api_key"


PATHS = [
    "//v1/models",
    "/%2e/v1/models",
    "/v1/%2e%2e/v1/models",
    "/health/live/../../v1/models",
    "/health/live/%2e%2e/%2e%2e/v1/models",
    "/v1/models/",
    "/v1/models?/health/live",
    "/v1/models/health/live",
    "/v1/models%23/health/live",
    "/V1/models",
    "/nothing",
    "/health/live;/v1/models",
    "http://evil/v1/models",
]


TRICKS = [
    "X-HTTP-Method-Override: GET",
    "X-Original-URL: /health/live",
    "X-Rewrite-URL: /ui/",
    "X-Forwarded-Prefix: /ui",
]


@pytest.mark.parametrize("path", PATHS)
def test_cve_2026_48746_no_spelling_of_a_path_leads_past_the_door(door, path):
    async def scenario(client):
        told = b""
        for host in ("a", "/health/live", "a/health/live?", "x:1@health"):
            reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
            head = [f"GET {path} HTTP/1.1", f"Host: {host}", *TRICKS, "Connection: close"]
            writer.write("\r\n".join([*head, "", ""]).encode())
            told += await reader.read()
            writer.close()
        return told

    told = door(scenario)
    statuses = re.findall(rb"HTTP/1\.[01] (\d+)", told)
    assert len(statuses) == 4
    assert set(statuses) <= {b"401", b"400"}
    assert b"caller" not in told


def test_probes_need_no_key_and_other_methods_on_them_do(door):
    async def scenario(client):
        answers = [
            await client.get("/health/live"),
            await client.head("/health/ready"),
            await client.post("/health/live", headers={"X-HTTP-Method-Override": "GET"}),
        ]
        return [answer.status for answer in answers]

    assert door(scenario) == [200, 200, 401]


def test_a_key_may_do_what_its_entry_says_and_no_more(door):
    async def scenario(client):
        asks = [("/stats", ALICE), ("/stats", EYE), ("/v1/models", EYE), ("/v1/models", BOB)]
        return [(await client.get(path, headers=bearer(key))).status for path, key in asks]

    assert door(scenario) == [403, 200, 403, 200]


async def until(client, key, status):
    """Ask again and again until the file has been read anew."""
    async with asyncio.timeout(20):
        while (await client.get("/v1/models", headers=bearer(key))).status != status:
            pass


def test_a_withdrawn_key_is_refused_and_a_new_one_taken_without_a_restart(door, tmp_path):
    async def scenario(client):
        async def status(key):
            return (await client.get("/v1/models", headers=bearer(key))).status

        before = [await status(ALICE), await status(ALICE_NEW)]
        swap(tmp_path, {"keys": [entry("alice", ALICE), entry("alice", ALICE_NEW)]})
        await until(client, ALICE_NEW, 200)
        both = [await status(ALICE), await status(ALICE_NEW)]
        swap(tmp_path, {"keys": [entry("alice", ALICE_NEW)]})
        await until(client, ALICE, 401)
        return before, both, await status(ALICE_NEW)

    assert door(scenario) == ([200, 401], [200, 200], 200)


def test_the_access_line_has_the_keys_name_and_never_the_key(door):
    async def scenario(client):
        for key in (ALICE, "fk-canary"):
            await client.get("/v1/models", headers=bearer(key))

    with structlog.testing.capture_logs() as logged:
        door(scenario)
    told = [line for line in logged if line["event"] == "request.finished"]
    assert [line.get("key") for line in told] == ["alice", None]
    assert "canary" not in str(logged)
    assert ALICE not in str(logged)


def test_every_public_route_is_meant_to_be():
    public = {
        "/health/live",
        "/health/ready",
        "/",
        "/docs",
        "/docs/",
        "/docs/{name}",
        "/openapi.json",
        "/version",
    }
    page = {"/ui", "/ui/", "/ui/features.json", "/ui/{name}"}
    assert public | page == auth.PUBLIC


def test_a_service_does_not_start_with_a_broken_key_file(tmp_path, capsys):
    class Settings(settings.ServiceSettings):
        model_config = settings.SettingsConfigDict(env_prefix="FLAMINGO_KEYTEST_")

    path = tmp_path / "keys"
    path.write_text('{"keys": [{"name": "", "sha256": ""}]}')
    for argv in (["--key-file", str(path)], ["--key-file", str(tmp_path / "none")]):
        with pytest.raises(SystemExit) as leaving:
            settings.load(Settings, argv, os.environ, prog="it")
        assert leaving.value.code == 2
    said = capsys.readouterr().err
    assert "--key-file: keys[0].name: " in said
    assert "--key-file: keys[0].sha256: " in said
    assert "No such file" in said


def test_a_new_key_and_its_entry_fit_each_other():
    made = CliRunner().invoke(cli.app, ["keys", "new", "007"])
    assert made.exit_code == 0
    key = made.stderr.splitlines()[-1]
    assert key not in made.stdout
    assert len(key) >= len(keys.PREFIX) + 43  # 256 bits
    ring = keys.parse(b"keys:\n" + made.stdout.encode())
    assert ring.find(key.encode()).name == "007"


def test_a_name_that_cannot_stand_in_a_file_is_refused():
    assert CliRunner().invoke(cli.app, ["keys", "new", "a b"]).exit_code == 2


def test_by_default_a_service_listens_to_this_machine_alone():
    assert settings.ServiceSettings.model_fields["host"].default == "127.0.0.1"
