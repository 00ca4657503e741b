"""`flamingo analyze` as a process, with a fake pod."""

import json
from typing import ClassVar

import pytest
from fakes import pods
from fakes.command_line import flamingo

from flamingo_common.wire import answers
from flamingo_common.wire.answers import TimedLine, TimedSection

USAGE = answers.AnswerUsage(prompt_tokens=1, completion_tokens=1)
LINES = [TimedLine(text="Grey is the harbour", start_s=0.01), TimedLine(text="Slow", start_s=0.05)]


class AnsweringPod(pods.FakePod):
    """Answers a card, lyrics with times, and a question."""

    lines = LINES
    card: ClassVar = {"parsed": {"bpm": 120}}

    def _body(self, path):
        verse = TimedSection(name="Verse 1", lines=self.lines)
        found = {
            "card": {"content": "{}", "recipe": "card"} | self.card,
            "lyrics": {"content": "", "sections": [verse], "faults": ["line 1: early"]},
            "question-1": {"content": "calm"},
        }
        return answers.Analysis(
            id="x",
            created=0,
            model="m",
            usage=pods.USAGE,
            answers={
                name: answers.Answer(finish_reason="stop", usage=USAGE, **fields)
                for name, fields in found.items()
            },
        )


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(b"RIFF....WAVE, let us say")
    return str(path)


def test_answers_are_a_table(song):
    pod = AnsweringPod()
    done = flamingo("analyze", song, "-r", "card", "-r", "lyrics", "-q", "Mood?", pod=pod)
    assert (done.status, done.errors) == (0, [])
    shown = [" ".join(line.split()) for line in done.lines]
    assert shown[:3] == ["card", "bpm 120", "lyrics"]
    assert shown[-2:] == ["Mood?", "calm"]
    sent = pod.received[0].body
    assert b'{"name": "question-1", "prompt": "Mood?"}, {"name": "card", "recipe": "card"}' in sent


def test_confidence_is_shown_beside_each_value(song):
    pod = AnsweringPod()
    pod.card = {
        "parsed": {"genre": ["rock", "pop"], "bpm": 120, "a/b": {"c": [1, 2]}, "key": None},
        "confidence": {
            "/genre/0": 0.81,
            "/genre/1": 0.2,
            "/bpm": 0.3333,
            "/a~1b/c/0": 0.5,
            "/a~1b/c/1": 0.004,
        },
    }
    done = flamingo("analyze", song, "-r", "card", "--confidence", pod=pod)
    assert (done.status, done.errors) == (0, [])
    shown = [" ".join(line.split()) for line in done.lines]
    assert shown[1:5] == [
        "genre rock (81%), pop (20%)",
        "bpm 120 (33%)",
        'a/b {"c": [1, 2]} (<1%)',
        "key -",
    ]
    assert b'"confidence": true' in pod.received[0].body


def test_answers_are_json(song):
    done = flamingo("analyze", song, song, "-r", "card", "--json", pod=AnsweringPod())
    values = [json.loads(line) for line in done.lines]
    assert [value["answers"]["card"]["parsed"] for value in values] == [{"bpm": 120}] * 2
    assert values[0]["file"] == song


def test_lyrics_are_lrc(song):
    done = flamingo("analyze", song, "-r", "lyrics", "--format", "lrc", pod=AnsweringPod())
    assert done.out == b"[00:00.01]Grey is the harbour\n[00:00.05]Slow\n"
    assert done.errors == ["flamingo: line 1: early"]
    assert done.status == 0


def test_lyrics_without_times_are_an_error(song):
    pod = AnsweringPod()
    pod.lines = [TimedLine(text="la")]
    done = flamingo("analyze", song, "-r", "lyrics", "--format", "srt", pod=pod)
    assert (done.status, done.out) == (1, b"")
    assert "has no times within the clip, which SRT needs" in done.errors[0]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "name what to ask, with --recipe"),
        (["-r", "lyrics", "--format", "lrc", "other.wav"], "lrc is for one clip"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(song, args, message):
    done = flamingo("analyze", song, *args)
    assert done.status == 2
    assert message in done.err.decode()


def test_recipes_are_listed():
    card = answers.RecipeCard(name="card", description="Facts.", prompt="a", json_schema={})

    done = flamingo("recipes", pod=pods.FakePod(recipes=(card,)))
    assert done.status == 0
    assert done.lines[1].split() == ["card", "JSON", "Facts."]
