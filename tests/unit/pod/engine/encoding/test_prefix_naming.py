"""Which prompts share a prefix, and how far it goes."""

import numpy as np
import pytest

from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.encoding.prefix_naming import prefix_of

SLOT = 9
CLIP = ClipAudio.from_samples(np.ones(16_000, np.float32))
OTHER = ClipAudio.from_samples(np.zeros(16_000, np.float32))
SLOTS = [SLOT] * CLIP.num_tokens


def key(before, audio=CLIP, salt=b"", after=(5,)):
    return prefix_of(np.array([*before, *SLOTS, *after]), audio, salt=salt, slot_id=SLOT).key


def test_a_prefix_ends_with_its_clip():
    prefix = prefix_of(np.array([1, 2, *SLOTS, 5, 6]), CLIP, salt=b"", slot_id=SLOT)
    assert (prefix.audio_start, prefix.num_tokens) == (2, 2 + len(SLOTS))
    assert prefix.window_tokens == [len(SLOTS)]


def test_equal_prompts_up_to_the_end_of_the_clip_share_one():
    assert key([1, 2], after=[5]) == key([1, 2], after=[6, 7])


def test_another_text_clip_or_salt_has_another():
    keys = [key([1, 2]), key([1, 3]), key([1, 2], OTHER), key([1, 2], salt=b"a"), key([1])]
    assert len(set(keys)) == len(keys)


def test_no_byte_moves_from_the_salt_to_the_text():
    assert key([7], salt=b"\1\0\0\0") != key([1, 7])


def test_a_prompt_without_a_clip_has_no_prefix():
    assert prefix_of(np.array([1, 2]), None, salt=b"", slot_id=SLOT) is None
    assert prefix_of(np.array([1, 2]), ClipAudio(), salt=b"", slot_id=SLOT) is None


def test_a_clip_without_slots_is_an_error():
    with pytest.raises(ValueError, match="9"):
        prefix_of(np.array([1, 2]), CLIP, salt=b"", slot_id=SLOT)


def test_a_clip_with_nothing_behind_it_is_an_error():
    with pytest.raises(ValueError, match="a token has to follow the audio"):
        prefix_of(np.array([1, 2, *SLOTS]), CLIP, salt=b"", slot_id=SLOT)
