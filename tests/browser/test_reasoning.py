"""What a model thinks before it answers, on the web page."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser.accessibility import findings
from fakes.patience import PATIENCE_S
from fakes.pods import FakePod
from fakes.thinking_pod import ThinkingPod

from flamingo_common.wire.answers import RecipeCard

CLIPBOARD = ["clipboard-read", "clipboard-write"]
PHONE = {"width": 390, "height": 800}
RECIPES = (RecipeCard(name="card", description="The card.", prompt="a"),)
SCRIPT = """<img src=x onerror="document.title='owned'">"""


class ScriptingPod(ThinkingPod):
    thoughts = ("The drums are ", f"fast. {SCRIPT}")


def test_reasoning_is_folded_above_the_answer_and_not_sent_again(visit, song):
    site = visit(ScriptingPod(words=("Jungle.",)))
    site.drop(song)
    site.ask("Which genre?")
    site.has("#log .exchange > .generated", "Jungle.")
    reasoning = site.page.locator("#log .reasoning")
    assert reasoning.locator("p").is_hidden()
    reasoning.locator("summary").click()
    assert reasoning.locator("p").inner_text() == "".join(ScriptingPod.thoughts)
    assert site.page.title() != "owned"
    site.ask("Why?")
    site.has("#log .exchange:nth-child(2) > .generated", "Jungle.")
    assert b"Jungle." in site.pod.received[-1].body
    assert b"drums" not in site.pod.received[-1].body


def test_an_answer_without_reasoning_has_no_place_for_it(visit, song):
    site = visit(FakePod(words=("Jungle.",)))
    site.drop(song)
    site.ask("Which genre?")
    site.has("#log .exchange > .generated", "Jungle.")
    assert site.page.locator("#log .reasoning").count() == 0


def sent(pod):
    """Return the JSON of the last request."""
    form = pod.received[-1].body
    return json.loads(re.search(rb'name="request"\r\n\r\n(.*?)\r\n--', form, re.DOTALL)[1])


def budgets(site):
    """Caption, ask, and have a recipe answered; return the budgets that were sent."""
    found = []
    for button in ("#generate", "#ask", "#recipe-buttons button"):
        site.page.fill("#question", "Why?")
        number = len(site.pod.received)
        site.page.click(button)
        site.until(lambda number=number: len(site.pod.received) > number)
        found.append(sent(site.pod).get("thinking_token_budget"))
        site.page.locator("button.stop").wait_for(state="detached")
    return found


def test_every_panel_that_generates_has_the_budget_that_is_chosen(visit, song):
    site = visit(ThinkingPod(words=("Jungle.",), recipes=RECIPES))
    site.drop(song)
    site.shows("#thinking")
    assert budgets(site) == [None] * 3
    for choice, budget in (("none", 0), ("at most 1,024 tokens", 1024)):
        site.page.select_option("#thinking-budget", label=choice)
        assert budgets(site) == [budget] * 3
    site.drop(song)  # another clip leaves the choice as it is
    site.page.click("#generate")
    site.until(lambda: len(site.pod.received) == 10)
    assert sent(site.pod)["thinking_token_budget"] == 1024


def test_a_model_that_does_not_think_has_no_budget(visit, song):
    site = visit(FakePod(words=("Jungle.",), recipes=RECIPES))
    site.has("#model", "fake")
    site.drop(song)
    site.has("#recipe-buttons", "card")
    site.shows("#thinking", visible=False)
    assert budgets(site) == [None] * 3


def test_copied_requests_have_the_budget(visit, song):
    site = visit(ThinkingPod(words=("Jungle.",)), permissions=CLIPBOARD)
    site.drop(song)
    site.page.select_option("#thinking-budget", "0")
    site.ask("Which genre?")
    site.has("#log .exchange > .generated", "Jungle.")
    assert '"thinking_token_budget":0' in site.copied("#chat-curl")
    assert '"thinking_token_budget":0' in site.copied("#chat-javascript")
    program = site.copied("#chat-python")
    assert "thinking_token_budget=0" in program
    command = [sys.executable, "-c", program]
    where = Path(song).parent
    done = subprocess.run(
        command, cwd=where, check=True, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.stdout == "Jungle.\n"
    assert b'"thinking_token_budget": 0' in site.pod.received[-1].body


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_budget_is_accessible_and_fits_a_phone(visit, song, scheme):
    site = visit(ThinkingPod(), color_scheme=scheme, viewport=PHONE)
    site.drop(song)
    site.shows("#thinking")
    assert site.page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]
    assert findings(site.page) == []
