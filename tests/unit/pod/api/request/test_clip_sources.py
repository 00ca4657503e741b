"""The one clip of a conversation, which may be attached in every turn."""

import asyncio
import base64
import urllib.parse

import pytest
from aiohttp import web
from fakes.sites import site

from flamingo_common import errors
from flamingo_common.service import addresses
from flamingo_common.wire import clip_ids
from flamingo_common.wire.requests import AudioInput
from flamingo_pod.api.request import clip_sources
from flamingo_pod.api.request.clip_sources import ClipSource
from flamingo_pod.audio.fetch import Fetcher
from flamingo_pod.audio.memory_budget import COPIES_OF_JSON, MemoryBudget
from flamingo_pod.audio.memory_file import MemoryFile

CLIP, OTHER = b"RIFF" + bytes(range(256)) * 10, b"RIFF" + bytes(2560)
TEXT = base64.b64encode(CLIP).decode()
FORMS = [
    {"data": TEXT},
    {"data": f"data:audio/wav;base64,{TEXT}"},
    {"url": f"DATA:;BASE64,{TEXT}"},
    {"data": base64.encodebytes(CLIP).decode()},
    {"data": base64.urlsafe_b64encode(CLIP).decode().rstrip("=")},
    {"url": f"data:audio/wav,{urllib.parse.quote_from_bytes(CLIP)}"},
]


def fetcher():
    return Fetcher(
        is_enabled=True,
        networks=[addresses.ip_network("127.0.0.1/32")],
        timeout_s=5.0,
        max_bytes=10**6,
        slots=asyncio.Semaphore(4),
        hosts=(),
    )


def sources(*inputs):
    return [
        ClipSource(AudioInput.model_validate(fields), f"messages[{number}].content[0]")
        for number, fields in enumerate(inputs)
    ]


async def only(given, budget, num_bytes=0, *, file=None):
    """Return the clip's place, its bytes if it was loaded, and what is reserved then."""
    with budget.reservation() as reservation:
        reservation.add(num_bytes)
        if file is not None:
            part = reservation.new_file()
            part.write(file)
            given = [ClipSource(part, "file"), *given]
        found = await clip_sources.only_clip(given, fetcher(), reservation)
        assert found is not None
        audio, reserved = found.audio, reservation.num_bytes
        data = None if isinstance(audio, AudioInput) else audio.read_and_close()
        return found.place, data, reserved


def heard(*inputs, **options):
    return asyncio.run(only(sources(*inputs), MemoryBudget(10**9), **options))


def refused(*inputs, **options):
    with pytest.raises(errors.FlamingoError) as caught:
        heard(*inputs, **options)
    return caught.value


@pytest.mark.parametrize("form", FORMS)
def test_the_same_bytes_in_any_form_are_one_clip(form):
    assert heard({"data": TEXT}, form, form)[0] == "messages[0].content[0]"
    assert heard(form, {"data": TEXT})[0] == "messages[0].content[0]"


def test_a_file_and_the_same_clip_in_a_message_are_one_clip():
    place, data, _ = heard({"data": TEXT}, file=CLIP)
    assert (place, data) == ("file", CLIP)


def test_different_clips_are_refused_with_both_places_and_the_rule():
    error = refused({"data": TEXT}, {"data": TEXT}, {"data": base64.b64encode(OTHER).decode()})
    assert (error.code, error.param) == ("invalid_request", "messages[2].content[0]")
    assert "messages[2].content[0] is another clip than messages[0].content[0]" in error.message
    assert "a conversation has one clip" in error.message


def test_a_file_and_another_clip_in_a_message_are_refused():
    error = refused({"data": TEXT}, file=OTHER)
    assert "messages[0].content[0] is another clip than file" in error.message


def test_a_copy_that_is_damaged_is_named():
    error = refused({"data": TEXT}, {"data": "*"})
    assert (error.code, error.param) == ("invalid_audio", "messages[1].content[0]")
    assert error.message.startswith("messages[1].content[0]: ")


def test_copies_are_freed():
    num_bytes = COPIES_OF_JSON * len(TEXT) * 3
    _, _, reserved = heard(*[{"data": TEXT}] * 3, num_bytes=num_bytes)
    assert reserved == COPIES_OF_JSON * len(TEXT)
    _, data, reserved = heard({"data": TEXT}, {"data": f"{TEXT}\n"}, num_bytes=num_bytes)
    assert data == CLIP
    assert reserved < num_bytes - 2 * len(TEXT)


def at_urls(*paths, clips=None, budget=None):
    """Return the clip's place, the paths that were fetched, and what is reserved then."""
    asked = []

    async def handler(request):
        asked.append(request.path)
        return web.Response(body=(clips or {}).get(request.path, CLIP))

    async def scenario():
        async with site(handler) as address:
            given = sources(*({"url": address + path} for path in paths))
            return await only(given, budget or MemoryBudget(10**9))

    place, _, reserved = asyncio.run(scenario())
    return place, asked, reserved


def test_the_same_url_is_fetched_later_and_once():
    place, asked, _ = at_urls("/a.wav", "/a.wav", "/a.wav")
    assert (place, asked) == ("messages[0].content[0]", [])


def test_urls_that_were_signed_anew_are_fetched_and_only_one_copy_is_kept():
    signed = [f"/{number}.wav" for number in range(5)]
    _, asked, reserved = at_urls(*signed, budget=MemoryBudget(2 * len(CLIP)))
    assert asked == signed
    assert reserved == len(CLIP)


def test_the_first_different_clip_ends_the_fetching():
    with pytest.raises(errors.BadRequest, match="another clip than"):
        at_urls("/a.wav", "/b.wav", "/c.wav", clips={"/b.wav": OTHER})


def test_the_number_of_different_urls_is_limited():
    paths = [f"/{number}.wav" for number in range(clip_sources.MAX_URLS + 1)]
    with pytest.raises(errors.BadRequest, match=f"more than {clip_sources.MAX_URLS} different"):
        at_urls(*paths)


def id_of(clip, tenant=b"alice"):
    async def digest():
        with MemoryFile() as file:
            file.write(clip)
            return await file.digest()

    return clip_ids.clip_id(asyncio.run(digest()), tenant)


def used(*inputs):
    """Return the clip that is used: its bytes, or the id by which it is given."""
    given = sources(*inputs)

    async def scenario():
        with MemoryBudget(10**6).reservation() as reservation:
            reservation.add(10**4)
            found = await clip_sources.only_clip(given, fetcher(), reservation, b"alice")
            audio = found.audio
            return audio.id if isinstance(audio, AudioInput) else audio.read_and_close()

    return asyncio.run(scenario())


def test_the_same_id_in_every_turn_is_one_clip():
    assert used({"id": id_of(CLIP)}, {"id": id_of(CLIP)}) == id_of(CLIP)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_clip_and_its_id_are_one_clip_of_which_the_bytes_are_used(is_first):
    given = [{"data": base64.b64encode(CLIP).decode()}, {"id": id_of(CLIP)}]
    assert used(*(given if is_first else reversed(given))) == CLIP


@pytest.mark.parametrize("other", [id_of(CLIP, b"bob"), id_of(CLIP[:-1]), "nonsense"])
def test_the_id_of_another_clip_or_of_another_caller_is_another_clip(other):
    with pytest.raises(errors.BadRequest, match="another clip than"):
        used({"data": base64.b64encode(CLIP).decode()}, {"id": other})
