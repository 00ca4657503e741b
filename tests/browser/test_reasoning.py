"""What a model thinks before it answers, on the web page."""

from fakes.pods import FakePod
from fakes.thinking_pod import ThinkingPod

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
