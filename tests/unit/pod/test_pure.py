import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import InvalidAudio
from flamingo_common.service import addresses
from flamingo_pod import lifecycle
from flamingo_pod.audio import containers, media
from flamingo_pod.engine.load import EngineLoad
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.lifecycle import LifecycleEvent, PodState


def test_every_state_and_event_is_decided():
    assert set(lifecycle.NEXT) == set(PodState)
    for state in (PodState.STOPPED, PodState.FAILED):
        assert all(lifecycle.next_state(state, event) is state for event in LifecycleEvent)


def test_a_pod_lives_from_starting_to_stopped():
    state = PodState.STARTING
    for event in (
        LifecycleEvent.LISTENING,
        LifecycleEvent.LOADED,
        LifecycleEvent.WARM,
        LifecycleEvent.STOP_REQUESTED,
        LifecycleEvent.DRAINED,
    ):
        state = lifecycle.next_state(state, event)
    assert state is PodState.STOPPED


def test_weights_alone_do_not_make_a_pod_ready():
    assert lifecycle.next_state(PodState.LOADING, LifecycleEvent.LOADED) is PodState.WARMING
    assert lifecycle.next_state(PodState.LOADING, LifecycleEvent.WARM) is PodState.LOADING


PRIVATE = addresses.ip_network("10.1.0.0/16")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "192.0.0.192",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "ff02::1",
    ],
)
def test_no_clip_is_fetched_from_an_address_that_is_not_public(host):
    assert not addresses.is_allowed(host, 80, [])


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        pytest.param("93.184.216.34", 443, True, id="public"),
        pytest.param("2606:2800:220:1::1", 80, True, id="public v6"),
        pytest.param("93.184.216.34", 6379, False, id="public, another service's port"),
        pytest.param("10.1.2.3", 9000, True, id="private, allowed by name"),
        pytest.param("::ffff:10.1.2.3", 9000, True, id="the same in disguise"),
        pytest.param("10.2.2.3", 80, False, id="private, beside it"),
    ],
)
def test_public_addresses_and_networks_allowed_by_name(host, port, allowed):
    assert addresses.is_allowed(host, port, [PRIVATE]) is allowed


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("aGVsbG8=", b"hello"),
        ("aGVsbG8", b"hello"),
        ("aGVs\r\nbG8=\n", b"hello"),
        ("-_-_", b"\xfb\xff\xbf"),
        ("", b""),
    ],
    ids=["standard", "no padding", "wrapped", "url-safe", "empty"],
)
def test_base64_in_its_usual_forms(text, data):
    assert b"".join(media.decode_base64(text)) == data


@pytest.mark.parametrize("text", ["a", "a*bc", "aGVsbG8=aGVsbG8=", "ü"])
def test_what_is_not_base64_is_refused(text):
    with pytest.raises(InvalidAudio, match="not valid base64"):
        b"".join(media.decode_base64(text))


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"RIFF\x00\x00\x00\x00WAVE", "wav"),
        (b"RIFF\x00\x00\x00\x00AVI ", None),
        (b"fLaC\x00", "flac"),
        (b"OggS\x00", "ogg"),
        (b"ID3\x04", None),
        (b"\xff\xfb\x90", "mp3"),
        (b"\xff\xf1\x50", "aac"),
        (b"\x00\x00\x00\x20ftypM4A ", "mov"),
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"#EXTM3U", None),
        (b"ffconcat", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_the_first_bytes_name_the_container(head, container):
    assert containers.sniff(head) == container


def test_a_tag_before_the_audio_has_the_length_that_its_header_says():
    assert containers.id3_bytes(b"ID3\x04\0\0\0\0\x02\x01rest") == 10 + 257
    assert containers.id3_bytes(b"ID3\x04\0\x10\0\0\0\x01rest") == 10 + 1 + 10, "a footer"
    assert containers.id3_bytes(b"ID3\x04") == 0
    assert containers.id3_bytes(b"fLaC" + bytes(12)) == 0


@given(st.binary(max_size=64))
def test_any_bytes_can_be_sniffed(head):
    containers.sniff(head)


def test_the_backlog_is_what_is_held():
    load = EngineLoad(encode_s=1.0, prefill_s=1.0, token_s=0.1)
    first = RequestStats(num_windows_left=2, num_prompt_tokens_left=1500, num_output_tokens_left=10)
    with load.in_flight(first):
        assert load.backlog_s == pytest.approx(2 * 2.0 + 10 * 0.5 * 0.1)
        assert load.queued_s == pytest.approx(2 * 2.0)
        with load.in_flight(RequestStats(num_windows_left=1, num_prompt_tokens_left=750)):
            assert load.backlog_s == pytest.approx(4.5 + 2.0)
        first.record_encoded_windows(1)
        first.record_token(1.0, is_text=True)
        assert load.backlog_s == pytest.approx(1.0 + 2.0 + 9 * 0.5 * 0.1)
    assert load.backlog_s == 0


def test_a_request_with_three_choices_is_three_answers_to_hold():
    load = EngineLoad()
    with load.in_flight(RequestStats(num_choices=3)), load.in_flight(RequestStats()):
        assert load.num_extra_choices == 2
