"""A client sends each clip once, while the fleet holds it."""

import asyncio

import pytest
from fakes import answering_pod, deciding_pod, pods
from fakes.holding_clips_pod import HoldingClipsPod

from flamingo import AsyncFlamingoClient, ClipId, FlamingoClient, errors
from flamingo_common.wire import responses

SONG, OTHER, LONGER = b"RIFF....a song", b"RIFF....a noon", b"RIFF....longer than that"
ID = ClipId("clip-" + "0" * 40)


def run(scenario, pod=None, **options):
    """Run `scenario(client, pod)`; return what was sent for each request: a clip, or an id."""
    pod = pod or HoldingClipsPod()

    async def connected():
        async with (
            pods.running(pod) as address,
            AsyncFlamingoClient(address, max_retries=0, **options) as client,
        ):
            await scenario(client, pod)

    asyncio.run(connected())
    return pod.sent


def test_a_clip_is_sent_once_by_any_method_and_in_any_form(tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(SONG)

    async def scenario(client, _):
        await client.ask(path, "What key is it in?")
        await client.ask(str(path), "Who sings?")
        await client.caption(SONG)
        with path.open("rb") as file:
            await client.caption(file)
        assert [text async for text in client.stream_caption(path)] == ["a ", "quiet ", "song"]

    assert run(scenario) == [SONG, ID, ID, ID, ID]


def test_a_stream_counts_as_having_sent_the_clip():
    async def scenario(client, _):
        assert [text async for text in client.stream_caption(SONG)]
        await client.caption(SONG)

    assert run(scenario) == [SONG, ID]


def test_a_file_with_new_contents_is_another_clip_whatever_its_name_and_size(tmp_path):
    path = tmp_path / "song.wav"

    async def scenario(client, _):
        for contents in (SONG, OTHER, LONGER, SONG):
            path.write_bytes(contents)
            await client.caption(path)

    assert run(scenario) == [SONG, OTHER, LONGER, ID]


@pytest.mark.parametrize("is_late", [False, True])
def test_a_clip_that_is_not_held_any_more_is_sent_again_and_the_caller_notices_nothing(is_late):
    async def scenario(client, pod):
        await client.caption(SONG)
        pod.held.clear()
        pod.is_late = is_late
        assert [text async for text in client.stream_caption(SONG)] == ["a ", "quiet ", "song"]
        await client.caption(SONG)

    assert run(scenario) == [SONG, ID, SONG, ID]


def test_without_ids_in_responses_each_request_has_the_clip():
    async def scenario(client, _):
        await client.caption(SONG)
        await client.caption(SONG)

    assert run(scenario, HoldingClipsPod(holds_nothing=True)) == [SONG, SONG]
    assert run(scenario, reuse_clips=False) == [SONG, SONG]


def test_a_clip_can_be_given_by_its_id_and_then_is_not_sent_again():
    async def scenario(client, pod):
        pod.held[ID] = SONG
        await client.ask(ID, "What key is it in?")
        pod.held.clear()
        with pytest.raises(errors.ClipNotHeld, match="send the clip again"):
            await client.ask(ID, "Who sings?")

    assert run(scenario) == [ID, ID]


class EveryRoutePod(HoldingClipsPod):
    """Answers decisions and streamed questions, too."""

    def _body(self, path):
        if path == "/v1/decisions":
            return deciding_pod.decision(self.model, self.asked[-1]["questions"])
        return super()._body(path)

    def _chunks(self, path):
        if path != "/v1/audio/analyze":
            return super()._chunks(path)
        answer = {"card": answering_pod.answer({"recipe": "card"})}
        return [responses.to_json_dict(one) for one in answering_pod.events(answer, self.model)]


LIVE = [{"type": "predicate", "instructions": "It is live."}]
TURN = [{"role": "user", "content": "Who sings?"}]
METHODS = {
    "caption": lambda client: client.caption(SONG),
    "ask": lambda client: client.ask(SONG, "Who sings?"),
    "chat": lambda client: client.chat(TURN, audio=SONG),
    "embed": lambda client: client.embed(SONG),
    "analyze": lambda client: client.analyze(SONG),
    "questions": lambda client: client.analyze(SONG, recipes=["card"]),
    "decisions": lambda client: client.decisions(SONG, LIVE),
    "tag": lambda client: client.tag(SONG, "voice"),
    "stream_caption": lambda client: client.stream_caption(SONG),
    "stream_ask": lambda client: client.stream_ask(SONG, "Who sings?"),
    "stream_chat": lambda client: client.stream_chat(TURN, audio=SONG),
    "stream_analyze": lambda client: client.stream_analyze(SONG, recipes=["card"]),
}
WITHOUT_A_CLIP = {"models", "recipes", "fleet", "aclose", "close"}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_sends_a_clip_again_that_is_gone(name):
    async def scenario(client, pod):
        for is_held in (True, True, False):
            if not is_held:
                pod.held.clear()
            result = METHODS[name](client)
            if name.startswith("stream_"):
                assert [each async for each in result]
            else:
                assert await result

    assert run(scenario, EveryRoutePod()) == [SONG, ID, ID, SONG]


@pytest.mark.parametrize("name", METHODS)
def test_every_synchronous_method_does_so_too(name):
    pod = EveryRoutePod()
    with pods.served(pod) as address, FlamingoClient(address, max_retries=0) as client:
        for is_held in (True, False):
            if not is_held:
                pod.held.clear()
            result = METHODS[name](client)
            assert list(result) if name.startswith("stream_") else result
    assert pod.sent == [SONG, ID, SONG]


def test_no_method_that_takes_a_clip_is_left_out():
    public = {name for name in vars(FlamingoClient) if not name.startswith(("_", "batch"))}
    named = {name for name in METHODS if name != "questions"}
    assert public - named - WITHOUT_A_CLIP - {"base_url"} == set()


def test_a_batch_sends_each_clip_and_never_an_id(tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(SONG)

    async def scenario(client, pod):
        await client.caption(path)
        for batch in (client.batch_caption([path]), client.batch_tag([path], "voice")):
            assert [result async for _, result in batch if not isinstance(result, Exception)]

    assert run(scenario, EveryRoutePod()) == [SONG, SONG, SONG]
