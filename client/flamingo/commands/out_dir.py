"""`--out-dir`: the names of the files that one command writes for several clips.

Pure.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath

from flamingo_common.errors import BadRequest


def file_names(names: Mapping[str, str], suffix: str) -> dict[str, str]:
    """Return the file of each clip, given its name: `song.mp3` becomes `song.caption.txt`.

    Clips that differ only in their suffix keep it (`song.flac.caption.txt`).

    Raises:
        BadRequest: two clips would be one file.
    """
    stems = Counter(PurePath(name).stem for name in set(names.values()))
    chosen = {
        clip: (name if stems[PurePath(name).stem] > 1 else PurePath(name).stem) + suffix
        for clip, name in names.items()
    }
    times = Counter(chosen.values())
    if doubles := [clip for clip, name in chosen.items() if times[name] > 1]:
        raise BadRequest(
            f"{' and '.join(doubles[:2])} would be one file in --out-dir; `flamingo batch` keeps"
            " clips of several folders apart"
        )
    return chosen
