"""Files of real music libraries, through a router and pods."""

import httpx2
import pytest
from clips import hostile
from fakes import tagged_files
from fakes.tagged_files import encoded

HEARD = {
    "a 7.1 AAC": lambda: encoded("ipod", "aac", layout="7.1"),
    "a MOV in the order of film studios": lambda: encoded("mov", "pcm_s16be", layout="5.1").replace(
        b"\0\1\0\0\0\0\0\x3f", b"\0\x7c\0\6\0\0\0\0"
    ),
    "a Wave64": lambda: encoded("w64", "pcm_s24le"),
    "an AU": lambda: encoded("au", "pcm_mulaw"),
    "a TTA": lambda: encoded("tta", "tta"),
    "a FLAC after the headers of its download": lambda: (
        b"HTTP/1.1 200 OK\r\n\r\n" + encoded("flac", "flac")
    ),
}


@pytest.mark.parametrize("name", hostile.libraries())
def test_a_file_of_a_library_is_heard_or_refused_by_name(fleet, name):
    router, _ = fleet
    file = hostile.libraries()[name]
    status, answer = embedded(router, file.data)

    if isinstance(file.outcome, tuple):
        code, part = file.outcome
        assert (status, answer["error"]["code"]) == (400, code)
        assert part in answer["error"]["message"]
    else:
        assert answer["usage"]["audio_seconds"] == pytest.approx(file.outcome, abs=0.1)


@pytest.mark.parametrize("name", HEARD)
def test_a_file_of_any_accepted_format_is_heard(fleet, name):
    router, _ = fleet
    status, answer = embedded(router, HEARD[name]())

    assert status == 200, answer
    assert answer["usage"]["audio_seconds"] == pytest.approx(tagged_files.SECONDS, abs=0.1)


def embedded(router, data):
    with httpx2.Client(base_url=router.address, timeout=60) as client:
        answer = client.post("/v1/audio/embeddings", files={"file": data}, data={"pooling": "mean"})
        return answer.status_code, answer.json()
