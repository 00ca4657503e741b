"""What `flamingo caption` requests and prints."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from fakes import pods
from fakes.patience import PATIENCE_S

from flamingo_common import errors
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.wire import responses


class LimitedPod(pods.FakePod):
    """A pod whose output reaches the token limit."""

    def _last_chunk(self, path):
        return {**super()._last_chunk(path), "finish_reason": "length"}


class TruncatingPod(pods.FakePod):
    """A pod that processed the first 1,200 s of 1,560."""

    def _last_chunk(self, path):
        last = super()._last_chunk(path)
        usage = {"audio_seconds": 1200, "audio_truncated": True, "truncated_seconds": 360}
        return {**last, "usage": {**last["usage"], **usage}}


def test_caption_prints_the_text_and_nothing_else(flamingo, song):
    result = flamingo("caption", song)

    assert (result.stdout, result.stderr, result.exit_code) == ("a quiet song\n", "", 0)


def test_caption_streams_by_default(flamingo, song):
    pod = pods.FakePod()

    results = [flamingo("caption", song, *flags, pod=pod) for flags in ([], ["--no-stream"])]

    assert [b'"stream": true' in received.body for received in pod.received] == [True, False]
    assert [result.stdout for result in results] == ["a quiet song\n"] * 2


def test_flags_become_request_parameters(flamingo, song):
    pod = pods.FakePod()

    flags = ["--style", "brief", "--max-tokens", "7", "--temperature", "0", "--api-key", "sk-1"]
    flamingo("caption", song, *flags, "--prompt", "Only the tempo.", pod=pod)

    [received] = pod.received
    for part in (b'"style": "brief"', b'"max_tokens": 7', b'"temperature": 0', b"the tempo"):
        assert part in received.body
    assert received.headers["Authorization"] == "Bearer sk-1"


def test_dash_reads_standard_input(flamingo):
    pod = pods.FakePod()

    result = flamingo("caption", "-", pod=pod, stdin=b"RIFF through a pipe")

    assert result.stdout == "a quiet song\n"
    assert b"RIFF through a pipe" in pod.received[0].body


@pytest.mark.parametrize("flags", [[], ["-j", "1"], ["-j", "3"]])
def test_several_clips_have_headings_in_their_order_and_a_failure_stops_none(flamingo, song, flags):
    result = flamingo("caption", song, "gone.mp3", song, *flags)

    section = f"==> {song} <==\na quiet song\n"
    if flags == ["-j", "1"]:  # its heading is printed before it is opened
        assert result.stdout == f"{section}\n==> gone.mp3 <==\n\n{section}"
    else:
        assert result.stdout == f"{section}\n{section}"
    assert result.stderr == "flamingo: gone.mp3: no such file or directory\n"
    assert result.exit_code == ExitStatus.ITEMS_FAILED


def test_json_is_the_full_response_on_one_line_per_clip(flamingo, song):
    result = flamingo("caption", "--json", song, song)

    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["caption"] for answer in answers] == ["a quiet song"] * 2
    assert answers[0]["file"] == song
    assert responses.Usage(**answers[0]["usage"]) == pods.USAGE


def test_output_cut_off_at_the_token_limit_is_reported(flamingo, song):
    result = flamingo("caption", song, pod=LimitedPod())

    assert result.stdout == "a quiet song\n"
    warning = "output cut off at the token limit; see --max-tokens"
    assert result.stderr == f"flamingo: song.mp3: {warning}\n"


def test_truncation_needs_a_flag_and_is_reported(flamingo, song):
    pod = TruncatingPod()

    plain, truncated = (
        flamingo("caption", song, pod=pod),
        flamingo("caption", "--truncate", song, pod=pod),
    )

    assert truncated.stdout == "a quiet song\n"
    warning = "audio truncated: the first 1,200 s were processed, 360 s were skipped"
    assert truncated.stderr == f"flamingo: song.mp3: {warning}\n"
    assert plain.exit_code == truncated.exit_code == 0
    assert [b'"truncate": true' in each.body for each in pod.received] == [False, True]


class DamagedPod(pods.FakePod):
    """A pod that got a file in which 0.83 s are missing."""

    def _last_chunk(self, path):
        last = super()._last_chunk(path)
        return {**last, "usage": {**last["usage"], "audio_missing_seconds": 0.832}}


def test_missing_audio_is_reported_with_the_name_of_the_clip(flamingo, song):
    for flags in ([], ["--no-stream"]):
        result = flamingo("caption", song, *flags, pod=DamagedPod())
        if not flags:
            name = song.rpartition("/")[2]
            missing = "0.83 s of the audio are missing or damaged (gaps are filled with silence)"
            assert result.stderr == f"flamingo: {name}: {missing}\n"
        assert (result.stdout, result.exit_code) == ("a quiet song\n", 0)


@pytest.mark.parametrize("command", [["caption", "{}"], ["ask", "{}", "why?"], ["embed", "{}"]])
def test_damage_is_allowed_or_forbidden_by_a_flag_that_is_unset_by_default(flamingo, song, command):
    pod = pods.FakePod()

    words = [word.format(song) for word in command]
    for flags in (["--allow-damaged"], ["--no-allow-damaged"], []):
        flamingo(*words, *flags, pod=pod)

    allowed, forbidden, unset = (received.body for received in pod.received)
    assert b'"allow_damaged": true' in allowed
    assert b'"allow_damaged": false' in forbidden
    assert b"allow_damaged" not in unset


def test_error_names_the_clip_and_the_request(flamingo, song):
    pod = pods.FakePod(fails_with=errors.InvalidAudio("no audio in it"))

    result = flamingo("caption", song, song, pod=pod)

    first, _ = result.stderr.splitlines()
    assert re.fullmatch(f"flamingo: {re.escape(song)}: no audio in it \\[req-[0-9a-f]+\\]", first)


@pytest.mark.parametrize("command", [["ask", "{}", "why?"], ["embed", "{}"]])
def test_other_commands_have_the_truncate_flag_too(flamingo, song, command):
    pod = pods.FakePod()

    flamingo(*[word.format(song) for word in command], "--truncate", pod=pod)

    assert b'"truncate": true' in pod.received[-1].body


def test_clip_for_which_the_server_closes_the_connection_does_not_stop_the_rest(flamingo, song):
    class FallingPod(pods.FakePod):
        """A pod that closes the connection for one clip, each time."""

        async def _answer(self, request):
            if b"dangerous" in await request.read():
                return self._abort(request)
            return await super()._answer(request)

    Path(f"{song}.bad").write_bytes(b"dangerous")

    result = flamingo("caption", "--json", f"{song}.bad", song, pod=FallingPod())

    assert result.exit_code == ExitStatus.ITEMS_FAILED
    failed, _ = [json.loads(line) for line in result.stdout.splitlines()]
    assert failed["error"]["code"] == "cannot_connect"
    assert "closed the connection before sending a response" in result.stderr


def songs_in(folder, num):
    paths = [folder / f"{number}.mp3" for number in range(num)]
    for path in paths:
        path.write_bytes(b"ID3")
    return [str(path) for path in paths]


def test_several_clips_are_in_flight_at_once_unless_the_user_says_otherwise(flamingo, tmp_path):
    songs = songs_in(tmp_path, 6)
    pod = MeetingPod(num=len(songs))

    result = flamingo("caption", *songs, pod=pod)

    headings = [line for line in result.stdout.splitlines() if line.startswith("==>")]
    assert headings == [f"==> {song} <==" for song in songs]


class MeetingPod(pods.FakePod):
    """A pod that answers when `num` requests have arrived."""

    def __init__(self, num):
        super().__init__()
        self.num = num
        self.all_here = asyncio.Event()

    async def _answer(self, request):
        if request.method == "POST":
            self.num -= 1
            if self.num == 0:
                self.all_here.set()
            await asyncio.wait_for(self.all_here.wait(), PATIENCE_S)
        return await super()._answer(request)


@pytest.mark.parametrize("flags", [[], ["-j", "1"]])
def test_json_has_a_line_for_each_clip_also_for_those_that_failed(flamingo, song, flags):
    result = flamingo("caption", "--json", song, "gone.mp3", song, *flags)

    first, failed, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert first["file"] == last["file"] == song
    assert failed["file"] == "gone.mp3"
    assert failed["error"]["message"] == "gone.mp3: no such file or directory"
    assert failed["error"]["code"] == "invalid_audio"


def test_json_of_one_clip_that_failed_names_it(flamingo):
    result = flamingo("caption", "--json", "gone.mp3")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["file"] == "gone.mp3"


def test_captions_are_saved_in_a_directory_and_those_that_are_there_are_left_alone(
    flamingo, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "new" / "captions"
    first, second = songs_in(tmp_path, 2)
    pod = pods.FakePod()

    once = flamingo("caption", first, "gone.mp3", "--out-dir", str(out), pod=pod)
    again = flamingo("caption", first, second, "--out-dir", str(out), pod=pod)

    assert once.exit_code == ExitStatus.ITEMS_FAILED
    assert again.exit_code == 0
    assert again.stderr == f"flamingo: 1 saved in {out}; 1 were there\n"
    saved = {path.name: path.read_text() for path in out.iterdir()}
    assert saved == {"0.mp3.caption.txt": "a quiet song\n", "1.mp3.caption.txt": "a quiet song\n"}
    assert len([one for one in pod.received if "captions" in one.path]) == 2


SAVING = {
    "caption.txt": ["caption"],
    "caption.json": ["caption", "--json"],
    "npy": ["embed"],
    "csv": ["embed", "--out-format", "csv"],
}


@pytest.mark.parametrize(
    "clips", [("a/song.mp3", "b/song.mp3"), ("song.mp3", "song.flac")], ids=["folder", "suffix"]
)
@pytest.mark.parametrize("suffix", SAVING)
def test_clips_of_one_name_are_two_files_of_two_commands(
    flamingo, tmp_path, monkeypatch, clips, suffix
):
    monkeypatch.chdir(tmp_path)
    for clip in clips:
        (tmp_path / clip).parent.mkdir(exist_ok=True)
        (tmp_path / clip).write_bytes(b"ID3")
    pod = pods.FakePod()

    for clip in clips:
        result = flamingo(*SAVING[suffix], clip, "--out-dir", "out", pod=pod)
        assert result.stderr == "flamingo: 1 saved in out\n"
    again = flamingo(*SAVING[suffix], *clips, "--out-dir", "out", pod=pod)

    assert again.stderr == "flamingo: 0 saved in out; 2 were there\n"
    assert all((tmp_path / "out" / f"{clip}.{suffix}").is_file() for clip in clips)


def test_whole_responses_are_saved_with_json(flamingo, song, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flamingo("caption", song, "--json", "--out-dir", str(tmp_path))

    saved = json.loads((tmp_path / "song.mp3.caption.json").read_text())
    assert (saved["file"], saved["caption"]) == (song, "a quiet song")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["a/x.mp3", "./a/x.mp3", "--out-dir", "out"], "a/x.mp3 and ./a/x.mp3 would be one file"),
        (["-", "--out-dir", "out"], "standard input has no name"),
        (["x.mp3", "--out-dir", "x.mp3/out"], "cannot make directory"),
    ],
)
def test_a_directory_that_cannot_have_the_captions_is_refused_at_once(
    flamingo, tmp_path, monkeypatch, words, reason
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.mp3").write_bytes(b"ID3")
    pod = pods.FakePod()

    result = flamingo("caption", *words, pod=pod)

    assert (result.exit_code, pod.received) == (2, [])
    assert reason in " ".join(result.stderr.replace("│", "").split())


def test_standard_input_is_not_one_of_several_clips_at_once(flamingo, song):
    result = flamingo("caption", "-j", "2", song, "-")

    assert result.exit_code == 2
    assert "standard input is read only without it" in result.stderr
