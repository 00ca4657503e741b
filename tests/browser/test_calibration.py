"""A calibration of the tags on the web page: which one is read, what it changes, what is kept."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from browser.accessibility import findings
from fakes.deciding_pod import DecidingPod
from fakes.patience import PATIENCE_S

from flamingo.client import calibrations
from flamingo.client.calibrations import Calibration
from flamingo_common.wire.decision_temperature import tempered

CLIPBOARD = ["clipboard-read", "clipboard-write"]
PHONE = {"width": 390, "height": 800}
FIELDS = {
    "version": 1,
    "model": "fake",
    "commit": None,
    "orders": 3,
    "num_examples": 1200,
    "num_clips": 50,
    "temperature": 2.0,
    "temperatures": {"mood": 4.0},
}


class CommittedPod(DecidingPod):
    """Serves a model from a repository."""

    def _card(self):
        return super()._card().model_copy(update={"commit": "a1b2"})


@pytest.fixture
def file(song):
    """Write a calibration beside the song."""

    def write(name="c.json", *, text=None, **changes):
        path = Path(song).parent / name
        path.write_text(text or json.dumps({**FIELDS, **changes}))
        return str(path)

    return write


@pytest.fixture
def opened(visit, song):
    """Open the page with a clip, `voice` and `mood` chosen, and perhaps a calibration."""

    def open_page(calibration=None, pod=None, **context):
        site = visit(pod or DecidingPod(), **context)
        prepare(site, song)
        if calibration:
            site.page.set_input_files("#calibration-file", calibration)
        return site

    return open_page


def prepare(site, song):
    site.has("#model", "fake")
    site.choose(song)
    site.shows("#tag")
    for name in ("genre", "instruments"):
        site.page.uncheck(f'[name="taxonomy"][value="{name}"]')
    site.page.check('[name="taxonomy"][value="voice"]')


def saved(site):
    """Ask for the tags, and return them as they are saved."""
    site.page.click("#tag")
    site.shows("#tags-json")
    with site.page.expect_download() as download:
        site.page.click("#tags-json")
    return json.loads(Path(download.value.path()).read_text())["tags"]


def probabilities(tags, name):
    return [each["probability"] for each in tags[name]]


def test_each_taxonomy_has_its_temperature_or_that_of_all(opened, file):
    site = opened()
    plain = saved(site)
    assert "orders" not in site.pod.asked
    written = calibrations.to_json(Calibration.model_validate(FIELDS))
    site.page.set_input_files("#calibration-file", file(text=written))
    site.has("#calibration-note", "calibrated with c.json: 1,200 answers about 50 clips")
    site.shows("#tags-json", visible=False)  # those were not calibrated
    found = saved(site)
    assert site.pod.asked["orders"] == 3
    expected = tempered(probabilities(plain, "voice"), 2.0)
    assert probabilities(found, "voice") == pytest.approx(expected)
    yes = [tempered([each, 1 - each], 4.0)[0] for each in probabilities(plain, "mood")]
    assert probabilities(found, "mood") == pytest.approx(yes)
    assert site.console_errors == []


def test_copied_requests_say_where_the_temperatures_are(opened, file, song):
    site = opened(file(), permissions=CLIPBOARD)
    site.has("#calibration-note", "c.json")
    found = saved(site)
    program = site.copied("#tags-python")
    assert 'client.tag("song.wav", "mood", "voice", calibration="c.json")' in program
    command = [sys.executable, "-c", program.replace(".tags)", ".tags['voice'][0].probability)")]
    done = subprocess.run(
        command,
        cwd=Path(song).parent,
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ast.literal_eval(done.stdout) == pytest.approx(probabilities(found, "voice")[0])
    assert site.pod.asked["orders"] == 3
    note = "The probabilities are not calibrated: c.json has temperatures"
    assert site.copied("#tags-curl").startswith(f"# {note}")
    assert site.copied("#tags-javascript").startswith(f"// {note}")


def test_it_is_kept_in_the_browser_until_it_is_removed(opened, file, song):
    site = opened(file())
    site.has("#calibration-note", "c.json")
    site.page.reload()
    prepare(site, song)
    site.has("#calibration-note", "c.json")
    saved(site)
    assert site.pod.asked["orders"] == 3
    site.page.click("#calibration-remove")
    site.has("#calibration-note", "not calibrated")
    site.page.reload()
    prepare(site, song)
    site.has("#calibration-note", "not calibrated")
    saved(site)
    assert "orders" not in site.pod.asked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "other"}, "C.json is for the model other, and fake is served; fit one"),
        ({"commit": "a1b2"}, "C.json is for the model fake (a1b2), and fake is served"),
        ({"temperature": 0}, "temperature: must be a number above 0, up to 100"),
        ({"temperatures": {"mood": "hot"}}, "temperatures: must be numbers above 0, up to 100"),
        ({"orders": 17}, "orders: must be a whole number from 1 to 16"),
        ({"version": 2, "tempo": 1}, "version: must be 1; tempo: is unknown"),
        ({"text": '{"version": 1}'}, "model: is required; commit: is required"),
        ({"text": "version: 1\n"}, "C.json is not JSON: "),
        ({"text": "[1]"}, "C.json is not a calibration, as flamingo bench quiz writes it"),
        ({"text": "null"}, "C.json is not a calibration, as flamingo bench quiz writes it"),
        ({"text": "#" * 70_000}, "C.json is larger than 65,536 bytes"),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_other_one_stays(opened, file, changes, message):
    site = opened(file("good.json"))
    site.has("#calibration-note", "good.json")
    site.page.set_input_files("#calibration-file", file("c.json", **changes))
    site.has("#tags-error", message[0].upper() + message[1:] if "C.json" in message else message)
    site.has("#calibration-note", "good.json")
    assert site.pod.received == []


def test_a_kept_one_is_refused_when_another_model_is_served(opened, file, song):
    pod = DecidingPod()
    site = opened(file(), pod=pod)
    site.has("#calibration-note", "c.json")
    pod.model = "fake-2"
    site.page.reload()
    prepare(site, song)
    site.has("#model", "fake-2")
    site.page.click("#tag")
    site.has("#tags-error", "is for the model fake, and fake-2 is served")
    assert pod.received == []
    site.page.click("#calibration-remove")
    saved(site)


def test_the_commit_belongs_to_the_model(opened, file):
    site = opened(file(commit="a1b2"), pod=CommittedPod())
    site.has("#calibration-note", "c.json")
    saved(site)
    assert site.pod.asked["orders"] == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(opened, file, scheme):
    site = opened(file("a long name of a file.json"), color_scheme=scheme, viewport=PHONE)
    site.shows("#calibration-remove")
    assert site.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    assert findings(site.page) == []
