"""Finds the clips in the body of a line, and puts audio in the place of those that are kept here.

A clip that a file or a bucket holds is `{"file_id": "file-…"}`, or has a URL such as `s3://…`. When
the line is sent, its place holds the audio in base64; a clip that has any other form is left as it
is. The id of a clip that a pod holds is refused: a batch can outlive it.

Pure.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flamingo_common.wire import clip_ids

BUCKET_SCHEMES = ("s3://", "gs://", "az://")
AUDIO_PARTS = ("input_audio", "audio", "audio_url")
FILE_PART = "file"
INPUT_FILE = "input_file"
DATA_URL = "data:application/octet-stream;base64,"


HELD_CLIP = (
    "{}: the id of a clip that a pod holds is not for batches, which can outlive it; give the clip"
    " as data, as a url, or as the file_id of an uploaded file"
)


class InvalidReference(ValueError):
    """A reference to a clip is malformed; the message says how, and where."""


@dataclass(frozen=True, slots=True)
class ClipReference:
    """A clip that is not in the line: exactly one of the fields is set."""

    file_id: str = ""
    url: str = ""
    place: str = ""
    """Where in the body it is."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a clip is in a body: `holder[key]` is a string, or an object with one."""

    holder: Any
    key: str | int
    path: str

    @property
    def value(self) -> Any:
        """What is there."""
        return self.holder[self.key]


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """A JSON body in pieces: between each two of them belongs a clip in base64."""

    pieces: Sequence[bytes]
    clips: Sequence[ClipReference]


def places(body: Mapping[str, Any]) -> Iterator[Place]:
    """Yield where a body of any endpoint can have a clip."""
    if "audio" in body:
        yield Place(body, "audio", "audio")
    given = body.get("input")
    if isinstance(given, list):
        for number, each in enumerate(given):
            yield from _in_input(given, number, each, f"input[{number}]")
    elif given is not None:
        yield from _in_input(body, "input", given, "input")
    messages = body.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        yield from _in_message(message, f"messages[{number}]")


def _in_input(holder: Any, key: str | int, value: Any, path: str) -> Iterator[Place]:
    if isinstance(value, str):
        yield Place(holder, key, path)
    else:
        yield from _in_part(value, path)
        yield from _in_message(value, path)


def _in_message(message: Any, path: str) -> Iterator[Place]:
    content = message.get("content") if isinstance(message, dict) else None
    for at, part in enumerate(content if isinstance(content, list) else ()):
        yield from _in_part(part, f"{path}.content[{at}]")


def _in_part(part: Any, path: str) -> Iterator[Place]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in AUDIO_PARTS and part.get(kind) is None and part.get("uuid") is not None:
        raise InvalidReference(HELD_CLIP.format(f"{path}.uuid"))
    if kind in (*AUDIO_PARTS, FILE_PART) and kind in part:
        yield Place(part, kind, f"{path}.{kind}")
    for key in ("file_id", "file_url", "file_data") if kind == INPUT_FILE else ():
        if part.get(key) is not None:
            yield Place(part, key, f"{path}.{key}")


def references(body: Mapping[str, Any]) -> list[tuple[Place, ClipReference]]:
    """Return the clips that are not in the body and that the pod does not fetch.

    Raises:
        InvalidReference: one is malformed.
    """
    found = []
    for place in places(body):
        reference = _reference(place)
        if reference is not None:
            found.append((place, reference))
    return found


def _reference(place: Place) -> ClipReference | None:
    value = place.value
    if place.key == "file_id":
        return _file(place.holder, place.path.rpartition(".")[0])
    if isinstance(value, str):
        if value.startswith(clip_ids.PREFIX):
            raise InvalidReference(HELD_CLIP.format(place.path))
        return _bucket(value, place.path)
    if not isinstance(value, dict):
        return None
    if value.get("id") is not None:
        raise InvalidReference(HELD_CLIP.format(f"{place.path}.id"))
    if "file_id" in value:
        return _file(value, place.path)
    if place.key == FILE_PART:
        raise InvalidReference(f"{place.path}: must have a file_id, the id of an uploaded clip")
    url = value.get("url")
    return _bucket(url, place.path) if isinstance(url, str) else None


def _file(value: Mapping[str, Any], path: str) -> ClipReference:
    if others := {"data", "url", "file_data", "file_url"} & set(value):
        raise InvalidReference(f"{path}: has both file_id and {min(others)}; give one of them")
    if not isinstance(value["file_id"], str):
        raise InvalidReference(f"{path}.file_id: must be a string")
    if value["file_id"].startswith(clip_ids.PREFIX):
        raise InvalidReference(HELD_CLIP.format(f"{path}.file_id"))
    return ClipReference(file_id=value["file_id"], place=path)


def _bucket(url: str, path: str) -> ClipReference | None:
    return ClipReference(url=url, place=path) if url.startswith(BUCKET_SCHEMES) else None


def put_audio(found: Sequence[tuple[Place, ClipReference]], audio: Sequence[str]) -> None:
    """Put `audio` (in base64) in the place of each clip, in the form that the pod's API has."""
    for (place, _), data in zip(found, audio, strict=True):
        if place.key in ("file_id", "file_url"):
            place.holder.pop(place.key)
            place.holder["file_data"] = DATA_URL + data
        elif isinstance(place.value, str):
            place.holder[place.key] = DATA_URL + data
        elif place.key == "audio_url":
            place.holder[place.key] = {"url": DATA_URL + data}
        elif place.key == FILE_PART:
            place.holder.pop(FILE_PART)
            place.holder.update({"type": "input_audio", "input_audio": {"data": data}})
        else:
            place.holder[place.key] = {"data": data}


def template(body: dict[str, Any]) -> BodyTemplate:
    """Return a valid body in pieces; changes `body`.

    Raises:
        InvalidReference: a reference to a clip is malformed.
    """
    found = references(body)
    text, mark = _json(body), "@"
    while mark in text:
        mark += "@"
    put_audio(found, [f"{mark}{number}{mark}" for number in range(len(found))])
    pieces = re.split(f"{mark}([0-9]+){mark}", _json(body))
    clips = [found[int(number)][1] for number in pieces[1::2]]
    return BodyTemplate([piece.encode() for piece in pieces[::2]], clips)


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
