"""Audio files of `SECONDS` in every container format."""

import pytest
from fakes.audio_files import FFMPEG, SNDFILE, with_ffmpeg, with_sndfile


@pytest.fixture(scope="package")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    made = {name: with_sndfile(*kind) for name, kind in SNDFILE.items()}
    return made | {name: with_ffmpeg(folder / "clip", name) for name in FFMPEG}
