"""`--out-dir`: the names of the files that one command writes for several clips.

Pure.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from flamingo.client.sources import clip_name
from flamingo_common.errors import BadRequest


def file_names(clips: Sequence[str], suffix: str) -> list[str]:
    """Return a file name for each clip: `song.mp3` becomes `song.caption.txt`.

    Clips that differ only in their suffix keep it (`song.flac.caption.txt`).

    Raises:
        BadRequest: two clips would be one file.
    """
    names = [clip_name(clip) for clip in clips]
    stems = Counter(PurePath(name).stem for name in set(names))
    chosen = [
        (name if stems[PurePath(name).stem] > 1 else PurePath(name).stem) + suffix for name in names
    ]
    times = Counter(chosen)
    if doubles := [clip for clip, name in zip(clips, chosen, strict=True) if times[name] > 1]:
        raise BadRequest(
            f"{' and '.join(doubles[:2])} would be one file in --out-dir; `flamingo batch` keeps"
            " clips of several folders apart"
        )
    return chosen
