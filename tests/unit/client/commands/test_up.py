"""What `flamingo up` passes on."""

from flamingo.commands import up


def test_example_clip_is_installed():
    assert up.EXAMPLE_CLIP.is_file()
