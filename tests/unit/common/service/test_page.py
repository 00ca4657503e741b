"""The page's files: what is served, with which headers, and what is not."""

import asyncio
import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from flamingo_common.service import http, page, static_files

UI = page.PACKAGE / "ui"
NAMES = sorted(str(file.relative_to(UI)) for file in UI.rglob("*") if file.is_file())
SOURCES = {name: (UI / name).read_text() for name in NAMES}
SCRIPTS = {name: source for name, source in SOURCES.items() if name.endswith(".js")}


def application(package=page.PACKAGE):
    app = http.create_app(max_body_bytes=1024)
    page.add_to(app, package=package)
    return app


@pytest.fixture
def with_clip(tmp_path):
    """An application whose package has a clip, and files that are none of the page's."""
    (tmp_path / "ui" / "folder").mkdir(parents=True)
    (tmp_path / "clips").mkdir()
    (tmp_path / "ui" / "index.html").write_text("the page")
    (tmp_path / "ui" / "folder" / "part.js").write_text("a part of it")
    (tmp_path / "ui" / "notes.txt").write_text("a kind the page has none of")
    (tmp_path / "clips" / "waltz.mp3").write_bytes(b"ID3")
    (tmp_path / "secret.js").write_text("beside the page")
    return application(tmp_path)


def get(path, *, app=None, method="GET", **headers):
    """Return status, headers and body of one request."""

    async def send():
        async with TestClient(TestServer(app or application())) as client:
            response = await client.request(method, path, headers=headers, allow_redirects=False)
            return response.status, response.headers, await response.read()

    return asyncio.run(send())


@pytest.mark.parametrize("path", ["/", "/ui"])
def test_the_redirects_are_relative(path):
    status, headers, _ = get(path)
    assert (status, headers["Location"]) == (302, "ui/")


def test_the_index_has_a_strict_content_security_policy():
    status, headers, body = get("/ui/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert b"<title>Flamingo Fleet</title>" in body


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_served_with_its_type_and_policy(name):
    status, headers, body = get(f"/ui/{name}")
    assert (status, body) == (200, (UI / name).read_bytes())
    assert (
        headers["Content-Type"].split(";")[0] == static_files.CONTENT_TYPES[name.rpartition(".")[2]]
    )
    assert headers["Content-Security-Policy"] == page.CONTENT_SECURITY_POLICY


def test_a_file_of_a_folder_is_served(with_clip):
    assert get("/ui/folder/part.js", app=with_clip)[::2] == (200, b"a part of it")


def test_a_cached_file_is_revalidated_and_not_sent_again():
    _, headers, _ = get("/ui/main.js")
    assert headers["Cache-Control"] == "no-cache"
    status, again, body = get("/ui/main.js", **{"If-None-Match": headers["ETag"]})
    assert (status, body, again["ETag"]) == (304, b"", headers["ETag"])
    assert get("/ui/main.js", **{"If-None-Match": '"older"'})[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/ui/nothing.js", id="no such file"),
        pytest.param("/ui/..%2fsecret.js", id="an encoded slash"),
        pytest.param("/ui/%2e%2e%2fsecret.js", id="encoded dots"),
        pytest.param("/ui/%2e%2e/secret.js", id="encoded dots alone"),
        pytest.param("/ui/%2fetc%2fpasswd", id="an absolute path"),
        pytest.param("/ui/notes.txt", id="a kind of file the page has none of"),
        pytest.param("/ui/folder", id="a folder"),
        pytest.param("/ui/folder/", id="a folder with a slash"),
        pytest.param("/ui/folder/../../secret.js", id="dots after a folder"),
        pytest.param("/ui/index.html/", id="a file as a folder"),
    ],
)
def test_no_other_file_is_served(path, with_clip):
    status, _, body = get(path, app=with_clip)
    assert status == 404
    assert b'"code": "not_found"' in body


def test_head_has_no_body_and_post_is_rejected():
    assert get("/ui/", method="HEAD")[::2] == (200, b"")
    assert get("/ui/", method="POST")[0] == 405


def test_the_features_are_those_of_this_server(with_clip):
    async def fleet(_):
        return web.Response()

    with_clip.router.add_get("/fleet", fleet)
    status, headers, body = get("/ui/features.json", app=with_clip)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert body == b'{"fleet": true, "batches": false, "example": "waltz.mp3"}'


def test_the_clip_is_served_under_one_name(with_clip):
    status, headers, body = get("/ui/example.mp3", app=with_clip)
    assert (status, headers["Content-Type"], body) == (200, "audio/mpeg", b"ID3")


def test_a_package_without_a_clip_has_no_example(tmp_path):
    bare = '{"fleet": false, "batches": false, "example": null}'
    assert get("/ui/features.json", app=application(tmp_path))[2].decode() == bare
    assert get("/ui/example.mp3", app=application(tmp_path))[0] == 404


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(".svg")])
def test_the_page_loads_nothing_from_elsewhere_and_writes_no_markup(name):
    assert not re.search(r"https?://|javascript:|innerHTML\s*=|\beval\(", SOURCES[name])


def test_the_index_has_no_inline_code_or_style():
    inline = r"\sstyle=|<style|\son\w+=|<script(?! type=\"module\" src=)"
    assert not re.search(inline, SOURCES["index.html"])


def test_every_element_that_a_script_uses_is_in_the_index_once():
    used = set(re.findall(r'\$\("([\w-]+)"\)', "".join(SCRIPTS.values())))
    there = re.findall(r'\sid="([\w-]+)"', SOURCES["index.html"])
    assert used <= set(there)
    assert len(there) == len(set(there))


@pytest.mark.parametrize("control", re.findall(r"<(?:input|textarea)[^>]*>", SOURCES["index.html"]))
def test_every_control_has_a_label(control):
    index = SOURCES["index.html"]
    name = re.search(r'\bid="([\w-]+)"', control)
    is_wrapped = re.search(rf"<label[^>]*>[^<]*{re.escape(control)}", index)
    assert is_wrapped or "aria-label" in control or f'for="{name[1]}"' in index


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_is_short(name):
    assert SCRIPTS[name].count("\n") < 200
