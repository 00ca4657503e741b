"""A conversation about a clip, in a terminal and from a pipe."""

import asyncio
import json

import pytest
from fakes import answering_pod, deciding_pod, pods, pseudo_terminal
from fakes.command_line import FLAMINGO
from fakes.holding_clips_pod import HoldingClipsPod
from fakes.pseudo_terminal import CTRL_C, CTRL_D

from flamingo.commands import conversation
from flamingo.commands.conversation import ChatCommand, Conversation, Question, UnknownCommand
from flamingo_common import errors
from flamingo_common.wire import answers, responses


class SongPod(HoldingClipsPod):
    """Answers decisions, and knows the lyrics of its songs."""

    def _body(self, path):
        if path == "/v1/decisions":
            return deciding_pod.decision(self.model, self.asked[-1]["questions"])
        if path != "/v1/audio/analyze":
            return super()._body(path)
        raise AssertionError("lyrics are streamed")

    def _chunks(self, path):
        if path != "/v1/audio/analyze":
            return super()._chunks(path)
        usage = answers.AnswerUsage(prompt_tokens=3, completion_tokens=5)
        lyrics = answers.Answer(
            content="[Verse]\nby the sea", finish_reason="length", faults=["line 1"], usage=usage
        )
        return [
            responses.to_json_dict(one)
            for one in answering_pod.events({"lyrics": lyrics}, self.model)
        ]


def messages(received):
    """Return the messages of a request, which is a form whose first part is JSON."""
    start = received.body.index(b"{")
    fields, _ = json.JSONDecoder().raw_decode(received.body[start:].decode("latin-1"))
    return [(one["role"], one["content"]) for one in fields["messages"]]


def asked(pod):
    return [received for received in pod.received if received.path.endswith("completions")]


def test_questions_from_a_pipe_are_answered_with_the_turns_before_them(flamingo, song):
    pod = pods.FakePod()

    result = flamingo(
        "chat", song, pod=pod, stdin=b"Which key?\n\nSure?\n/new\nTempo?\n/quit\nno\n"
    )

    assert (result.exit_code, result.stdout, result.stderr) == (0, "a quiet song\n" * 3, "")
    first, second, third = map(messages, asked(pod))
    assert second == [*first, ("assistant", "a quiet song"), ("user", "Sure?")]
    assert third == [("user", "Tempo?")]
    assert all(b"ID3, let us say" in received.body for received in asked(pod))


def test_help_lists_the_commands_and_a_misspelt_one_is_corrected(flamingo, song):
    result = flamingo("chat", song, stdin=b"/help\n/hlep\n//slash?\n")

    assert [line.split()[0] for line in result.stdout.splitlines()[:5]] == [
        "/tag",
        "/lyrics",
        "/help",
        "/new",
        "/quit",
    ]
    assert result.stderr == "flamingo: /hlep: no such command; did you mean /help?\n"
    assert result.stdout.endswith("a quiet song\n")


def test_a_question_from_a_pipe_that_fails_ends_the_conversation(flamingo, song):
    pod = pods.FakePod(fails_with=errors.AudioTooLong("too long"))

    result = flamingo("chat", song, pod=pod, stdin=b"one\ntwo\n")

    assert isinstance(result.exception, errors.AudioTooLong)
    assert len(asked(pod)) == 1


@pytest.mark.parametrize("clip", ["gone.mp3", "-"])
def test_a_clip_that_is_not_there_is_refused_before_the_first_question(flamingo, clip):
    pod = pods.FakePod()

    assert flamingo("chat", clip, pod=pod, stdin=b"one\n").exit_code
    assert pod.received == []


def test_ctrl_c_ends_the_answer_and_ctrl_d_the_conversation(song):
    async def scenario():
        pod = pods.FakePod(release=asyncio.Event(), waits_after_words=2)
        async with pods.running(pod) as address:
            command = [*FLAMINGO, "chat", song, "--url", address]
            async with pseudo_terminal.running(*command) as terminal:
                await terminal.shows("> ")
                terminal.type("What is it?\n")
                await terminal.shows("a quiet")
                terminal.type(CTRL_C)
                await terminal.shows("> ")
                pod.release.set()
                terminal.type("And now?\n")
                await terminal.shows("a quiet song")
                await terminal.shows("> ")
                terminal.type(CTRL_D)
                return pod, await terminal.ends()

    pod, (status, shown) = asyncio.run(scenario())
    assert (status, shown.strip()) == (0, "")
    assert messages(asked(pod)[1])[1] == ("assistant", "a quiet ")


def test_at_a_terminal_an_error_does_not_end_the_conversation(song):
    async def scenario():
        pod = pods.FakePod(fails_with=errors.InvalidAudio("not a song"), num_failures=1)
        async with pods.running(pod) as address:
            command = [*FLAMINGO, "chat", song, "--url", address]
            async with pseudo_terminal.running(*command) as terminal:
                await terminal.shows("> ")
                terminal.type("What is it?\n")
                await terminal.shows("flamingo: not a song")
                terminal.type("And now?\n")
                await terminal.shows("a quiet song")
                terminal.type("/quit\n")
                return pod, await terminal.ends()

    pod, (status, _) = asyncio.run(scenario())
    assert status == 0
    assert messages(asked(pod)[1]) == [("user", "And now?")]


def test_tags_and_lyrics_use_the_clip_that_was_sent_and_it_is_sent_again_when_it_is_gone(song):
    async def scenario():
        pod = SongPod()
        async with pods.running(pod) as address:
            command = [*FLAMINGO, "chat", song, "--url", address]
            async with pseudo_terminal.running(*command) as terminal:
                await terminal.shows("> ")
                terminal.type("What is it?\n")
                await terminal.shows("a quiet song")
                terminal.type("/tag mood voice\n")
                await terminal.shows("probability")
                await terminal.shows("mood")
                await terminal.shows("voice")
                terminal.type("/tag moood\n")
                await terminal.shows("ready ones are")
                pod.held.clear()
                terminal.type("/lyrics\n")
                await terminal.shows("[Verse]")
                await terminal.shows("by the sea")
                await terminal.shows("flamingo: line 1")
                await terminal.shows("song.mp3: output cut off at the token limit")
                terminal.type("And now?\n")
                await terminal.shows("a quiet song")
                terminal.type("/quit\n")
                return pod, await terminal.ends()

    pod, (status, _) = asyncio.run(scenario())
    assert status == 0
    assert [isinstance(each, bytes) for each in pod.sent] == [True, False, False, True, False]
    first, tags, refused, lyrics, last = pod.asked
    assert {each["name"] for each in tags["questions"]} == {"mood", "voice"}
    assert refused == lyrics
    assert lyrics["questions"] == [{"name": "lyrics", "recipe": "lyrics"}]
    assert len(last["messages"]) == len(first["messages"]) + 2


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("  \n", None),
        (" Which key? \n", Question("Which key?")),
        ("//x\n", Question("/x")),
        ("/exit\n", ChatCommand("/quit")),
        ("/new\n", ChatCommand("/new")),
        ("/tag\n", ChatCommand("/tag")),
        ("/tag mood  voice\n", ChatCommand("/tag", ("mood", "voice"))),
        ("/lyrics\n", ChatCommand("/lyrics")),
    ],
)
def test_a_line_is_a_question_or_a_command(line, parsed):
    assert conversation.parse(line) == parsed


def test_an_unlike_command_is_answered_with_those_that_there_are():
    assert conversation.parse("/zzz") == UnknownCommand(
        "/zzz: no such command; there are /tag, /lyrics, /help, /new, /quit"
    )


def test_the_system_message_stays_when_the_conversation_is_forgotten():
    turns = Conversation("Be brief.")
    turns.keep("one", "1")
    turns.keep("unanswered", "")
    assert [one["content"] for one in turns.with_question("two")] == [
        "Be brief.",
        "one",
        "1",
        "two",
    ]
    turns.forget()
    assert [one["content"] for one in turns.with_question("two")] == ["Be brief.", "two"]
