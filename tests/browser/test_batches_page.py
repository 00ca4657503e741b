"""The batches of the web page in a real browser, against a scripted service and a real fleet."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.patience import PATIENCE_S
from fakes.pods import FakePod
from fakes.scripted_batches import ScriptedBatches, scripted_batch

from flamingo_common import errors
from flamingo_common.service import auth, keys
from flamingo_common.wire.batches import BatchFault, BatchFaults

FLAMINGO = str(Path(sys.executable).with_name("flamingo"))
RUN_MS = 120_000
"""Two minutes of the page's clock."""
SCRIPT = """<img src=x onerror="document.title='owned'">"""
OUTPUT = "button[aria-label='Output of batch_1']"
PHONE = {"width": 390, "height": 800}
COUNT_FETCHES = """
  window.numFetches = 0;
  const send = window.fetch;
  window.fetch = (...args) => { window.numFetches += 1; return send(...args); };
"""
SET_VISIBILITY = """(state) => {
  Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
LINES = b'{"custom_id": "a", "method": "POST", "url": "/v1/audio/captions", "body": {}}\n'


def faulty(*messages):
    faults = [
        BatchFault(code="c", line=number, message=text) for number, text in enumerate(messages, 2)
    ]
    return scripted_batch("batch_new", "failed", errors=BatchFaults(data=faults))


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(LINES)
    return str(path)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """A real fleet with a service of batches; its address."""
    folder = tmp_path_factory.mktemp("up")
    command = [FLAMINGO, "up", "--pods", "1", "--port", "0", "--batches-dir", "batches"]
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if found := re.match(r"The fleet is ready at (\S+)", line):
            yield found[1]
            break
    else:
        pytest.fail("the fleet is not ready")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)


def question(number, **body):
    messages = [{"role": "user", "content": f"question {number}"}]
    fields = {"messages": messages, "max_tokens": 4} | body
    line = {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions"}
    return json.dumps(line | {"body": fields})


def test_a_real_fleet_works_through_an_uploaded_file(open_site, fleet, tmp_path):
    path = tmp_path / "lines.jsonl"
    damaged = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    bad = question(2, messages=[{"role": "user", "content": [damaged]}])
    path.write_text("\n".join([question(0), question(1), bad]))
    site = open_site(fleet)
    site.page.wait_for_selector("#batches-empty:has-text('No batches yet.')")
    site.page.set_input_files("#batch-file", str(path))
    site.page.wait_for_selector(".batch[data-status=completed]")
    site.has(".batch .batch-foot", "3 of 3 done, 1 failed")
    assert site.page.get_attribute(".batch [role=progressbar]", "aria-valuetext") == (
        "3 of 3 done, 1 failed"
    )
    found = {}
    for label in ("Output", "Errors"):
        with site.page.expect_download() as download:
            site.page.get_by_role("button", name=f"{label} of batch_").click()
        text = Path(download.value.path()).read_text()
        found[label] = sorted(json.loads(line)["custom_id"] for line in text.splitlines())
        assert re.fullmatch(rf"batch_\w+_{label.lower()}\.jsonl", download.value.suggested_filename)
    assert found == {"Output": ["line-0", "line-1"], "Errors": ["line-2"]}
    assert site.console_errors == []


def test_a_real_fleet_refuses_a_file_with_the_numbers_of_its_lines(open_site, fleet, tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text("\n".join([question(0), "nonsense", question(0)]))
    site = open_site(fleet)
    site.page.wait_for_selector("#batches:not([hidden])")
    site.page.set_input_files("#batch-file", str(path))
    site.page.wait_for_selector(".batch[data-status=failed] .faults[open]")
    texts = site.page.locator(".batch[data-status=failed] .faults li").all_inner_texts()
    assert [text[:7] for text in texts] == ["Line 2:", "Line 3:"]
    site.has("#batch-note", "failed: its file has 2 faults.")
    assert site.console_errors == []


def test_a_server_without_the_service_shows_nothing_and_asks_nothing(visit):
    service = ScriptedBatches()
    site = visit(FakePod(), add=service.add_to)
    site.has("#model", "fake")
    site.shows("#batches", visible=False)
    assert service.received == []


def test_an_upload_names_its_endpoint_by_the_first_line(visit, lines):
    service = ScriptedBatches()
    site = visit(FakePod(), batches=service)
    site.shows("#batches-empty")
    site.page.set_input_files("#batch-file", lines)
    site.has("#batch-note", "Created batch_new.")
    site.has(".batch .state", "validating")
    assert service.uploaded == [LINES]
    assert service.created == [
        {
            "input_file_id": "file-new",
            "endpoint": "/v1/audio/captions",
            "completion_window": "24h",
        }
    ]
    service.replace(faulty("a", "b"))
    site.has(".faults[open]", "Line 3: b")
    assert site.console_errors == []


@pytest.mark.parametrize("first", ["nonsense", '{"custom_id": "a"}', "[1]", "null", "x" * 200_000])
def test_a_file_that_has_no_requests_is_not_uploaded(visit, tmp_path, first):
    service = ScriptedBatches()
    site = visit(FakePod(), batches=service)
    path = tmp_path / "lines.jsonl"
    path.write_text(f"{first}\n{{}}\n")
    site.shows("#batches-empty")
    site.page.set_input_files("#batch-file", str(path))
    site.has("#batch-upload-error", "Line 1: not a request")
    with site.page.expect_response("**/v1/batches?*"):
        site.page.click("#batches-refresh")
    site.shows("#batches-empty")
    site.shows("#batch-upload-error")
    assert service.uploaded == []


def test_a_dropped_file_of_requests_is_not_taken_for_a_song(visit, lines):
    service = ScriptedBatches()
    site = visit(FakePod(), batches=service)
    site.shows("#batches")
    site.drop(lines)
    site.has(".batch", "batch_new")
    site.shows("#player", visible=False)


def watched(visit, service):
    """Open the page with a clock that the test moves, and a count of its requests."""
    site = visit(FakePod(), batches=service)
    site.page.add_init_script(COUNT_FETCHES)
    site.page.clock.install()
    site.page.reload()
    site.shows("#batches")
    return site


def num_fetches(site):
    return site.page.evaluate("() => window.numFetches")


def test_batches_are_refreshed_only_while_one_runs(visit):
    service = ScriptedBatches([scripted_batch("batch_1", "in_progress", completed=1)])
    site = watched(visit, service)
    site.has("#batches-summary", "1 in progress")
    service.replace(scripted_batch("batch_1", "in_progress", completed=2, failed=1))
    site.has(".batch", "3 of 4 done, 1 failed")
    service.replace(scripted_batch("batch_1", completed=3, failed=1))
    site.has("#batch-note", "batch_1 completed.")
    before = num_fetches(site)
    site.page.clock.run_for(RUN_MS)
    assert num_fetches(site) == before, "nothing runs"


def test_a_hidden_page_asks_nothing_and_is_refreshed_when_it_is_shown(visit):
    service = ScriptedBatches([scripted_batch("batch_1", "in_progress", completed=1)])
    site = watched(visit, service)
    site.has("#batches-summary", "1 in progress")
    site.page.evaluate(SET_VISIBILITY, "hidden")
    before = num_fetches(site)
    site.page.clock.run_for(RUN_MS)
    assert num_fetches(site) == before
    service.replace(scripted_batch("batch_1"))
    site.page.evaluate(SET_VISIBILITY, "visible")
    site.has(".batch .state", "completed")


def test_without_batches_nothing_is_asked(visit):
    site = watched(visit, ScriptedBatches())
    site.shows("#batches-empty")
    before = num_fetches(site)
    site.page.clock.run_for(RUN_MS)
    assert num_fetches(site) == before


def test_the_keyboard_cancels_a_batch_and_keeps_its_place_while_rows_change(visit):
    running = scripted_batch("batch_1", "in_progress", completed=1)
    service = ScriptedBatches([running])
    site = visit(FakePod(), batches=service)
    site.has(".batch", "1 of 4 done")
    site.page.focus("#batch-upload")
    for _ in range(2):
        site.page.keyboard.press("Tab")
    service.batches.insert(0, scripted_batch("batch_2"))
    service.replace(running.model_copy(update={"status": "in_progress"}))
    site.has("#batch-list li:first-child", "batch_2")
    focused = "() => document.activeElement.getAttribute('aria-label')"
    assert site.page.evaluate(focused) == "Cancel of batch_1"
    questions = []

    def answer(dialog):
        questions.append(dialog.message)
        dialog.accept() if len(questions) > 1 else dialog.dismiss()

    site.page.on("dialog", answer)
    site.page.keyboard.press("Enter")
    site.page.keyboard.press("Enter")
    site.has("#batch-list li:last-child .state", "cancelling")
    assert questions == ["Cancel batch_1? What was answered until now is kept."] * 2
    assert [one for one in service.received if "POST" in one] == ["POST /v1/batches/batch_1/cancel"]


def test_markup_from_the_server_stays_text(visit):
    service = ScriptedBatches([faulty(SCRIPT).model_copy(update={"id": SCRIPT})])
    site = visit(FakePod(), batches=service)
    site.page.click(".faults summary")
    site.has(".faults li", SCRIPT)
    site.has(".batch .address", SCRIPT)
    assert site.page.locator("#batches img").count() == 0
    assert site.page.title() == "Flamingo Fleet"
    assert site.console_errors == []


def test_older_batches_are_shown_on_request(visit):
    service = ScriptedBatches([scripted_batch(f"batch_{number}") for number in range(45)])
    site = visit(FakePod(), batches=service)
    rows = site.page.locator(".batch")
    for shown in (20, 40, 45):
        site.until(lambda shown=shown: rows.count() == shown)
        if shown < 45:
            site.page.click("#batches-older")
    site.shows("#batches-older", visible=False)
    names = site.page.locator(".batch .address").all_inner_texts()
    assert names == [f"batch_{number}" for number in range(45)]


def test_an_error_is_shown_and_the_next_refresh_recovers(visit):
    service = ScriptedBatches([scripted_batch("batch_1")])
    service.fails_with = errors.Unavailable("the service cannot be reached; retry")
    site = visit(FakePod(), batches=service)
    site.has("#batches-error", "The service cannot be reached; retry.")
    service.fails_with = None
    site.page.click("#batches-refresh")
    site.has(".batch", "batch_1")
    site.shows("#batches-error", visible=False)
    service.replace(scripted_batch("batch_1", output_file_id="file-1"))
    site.page.click("#batches-refresh")
    site.shows(OUTPUT)
    service.fails_with = errors.NotFound("the file 'file-1' was deleted")
    site.page.click(OUTPUT)
    site.has(".batch .error", "The file 'file-1' was deleted.")


def test_a_key_without_access_shows_no_batches(visit, lines):
    service = ScriptedBatches(fails_with=errors.PermissionDenied("this key may not"))
    site = visit(FakePod(), batches=service)
    site.until(lambda: service.received)
    site.has("#model", "fake")
    site.shows("#batches", visible=False)
    site.drop(lines)
    site.has("#clip-name", "lines.jsonl")
    assert service.uploaded == []


def test_files_are_read_with_the_key_that_was_entered(visit, tmp_path):
    class KeyedPod(FakePod):
        def app(self):
            app = super().app()
            auth.add_to(app, key_file)
            return app

    key_file = tmp_path / "keys"
    entries = [{"name": "me", "sha256": keys.digest_of("fk-right")}]
    key_file.write_text(json.dumps({"keys": entries}))
    finished = scripted_batch("batch_1", output_file_id="file-1")
    service = ScriptedBatches([finished], files={"file-1": LINES})
    site = visit(KeyedPod(), batches=service)
    site.page.fill("#key", "fk-right")
    site.page.press("#key", "Enter")
    with site.page.expect_download() as download:
        site.page.click(OUTPUT)
    assert Path(download.value.path()).read_bytes() == LINES


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_vertically_in_either_color_scheme(visit, scheme):
    long_fault = faulty("very-long-word-without-a-blank-" * 20)
    running = scripted_batch("batch_" + 32 * "f", "in_progress", total=50_000, completed=49_999)
    service = ScriptedBatches([running, long_fault])
    site = visit(FakePod(), batches=service, color_scheme=scheme, viewport=PHONE)
    site.page.click(".faults summary")
    assert site.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    ink, card = site.page.evaluate(
        "() => [getComputedStyle(document.querySelector('.batch-foot')).color,"
        " getComputedStyle(document.querySelector('#batches')).backgroundColor]"
    )
    contrast = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (ink, card)]
    assert abs(contrast[0] - contrast[1]) > 3 * 128
    assert site.console_errors == []
