"""The prompt of a caption: its own, or its style's."""

from flamingo_common.wire import requests
from flamingo_pod.text import caption_styles


def test_a_prompt_replaces_the_style():
    audio = requests.AudioInput(data="AAAA")
    own = requests.CaptionRequest(audio=audio, style="brief", prompt="Just the key.")
    assert caption_styles.caption_prompt(own) == "Just the key."
    assert "two or three" in caption_styles.caption_prompt(
        requests.CaptionRequest(audio=audio, style="brief")
    )
