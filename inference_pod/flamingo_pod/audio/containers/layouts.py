"""Where a file orders its channels in a way that PyAV cannot represent, so that it is hidden.

Apple's containers name a layout by a number, or each channel. FFmpeg reads orders other than its
own, such as the L C R Ls Rs LFE of film studios, as a custom layout, which PyAV copies without the
list of channels that it points to, and frees twice. Without the layout, the channels have no names
and count equally.

Pure.
"""

from collections.abc import Iterator

from flamingo_common.audio.tags import Read
from flamingo_pod.audio.containers.parts import chunks, nested_boxes
from flamingo_pod.audio.containers.patches import Finder, Patch, patches_by

NATIVE_LAYOUTS = frozenset(
    {1, 100, 101, 105, 108, 112, 113, 115, 117, 121, 130, 131, 132, 133, 135, 147}
)
"""The upper halves of the numbers of layouts in FFmpeg's order, and of a bit mask (1)."""
CAF_HEADER_BYTES = 8
MAX_DESCRIPTION_BYTES = 2**16
NO_BOX = b"free"


def patches(key: str, read: Read, part: range) -> list[Patch]:
    """Return what to replace in this part of a file, which is of the format `key`."""
    return patches_by(FINDERS, key, read, part)


def _aiff(read: Read, part: range) -> Iterator[Patch]:
    return _renamed(read, range(part.start + 12, part.stop), b"CHAN", ">4sI")


def _caf(read: Read, part: range) -> Iterator[Patch]:
    return _renamed(read, range(part.start + CAF_HEADER_BYTES, part.stop), b"chan", ">4sq")


def _renamed(read: Read, within: range, kind: bytes, form: str) -> Iterator[Patch]:
    for chunk in chunks(read, within, form):
        if chunk.kind == kind and not _is_native(read(chunk.body, 2)):
            yield Patch(range(chunk.start, chunk.start + 4), NO_BOX)


def _mp4(read: Read, part: range) -> Iterator[Patch]:
    """Search the descriptions of the samples, whose boxes begin after fields of many versions."""
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    for stsd in nested_boxes(read, part, *path):
        content = read(stsd.body, min(stsd.end - stsd.body, MAX_DESCRIPTION_BYTES))
        for kind, has_native_order in ((b"chan", _is_native), (b"chnl", _is_defined)):
            at = content.find(kind)
            # A box's size, its name, its version and its flags.
            while at >= 0:
                if not has_native_order(content[at + 8 : at + 10]):
                    yield Patch(range(stsd.body + at, stsd.body + at + 4), NO_BOX)
                at = content.find(kind, at + 4)


def _is_native(layout: bytes) -> bool:
    return int.from_bytes(layout, "big") in NATIVE_LAYOUTS


def _is_defined(structure_and_layout: bytes) -> bool:
    """Return whether ISO's layout is one of a list, and not a position for each channel."""
    return len(structure_and_layout) > 1 and structure_and_layout[1] > 0


FINDERS: dict[str, Finder] = {
    "aiff": _aiff,
    "caf": _caf,
    "mp4": _mp4,
}
