"""URLs that are safe to show."""

from flamingo_common.service import urls


def test_redacted_url_has_no_credentials_and_no_signature():
    redacted = urls.redact_url("https://me:pw@store.example:8443/a/song.mp3?X-Sig=s3cret#x")

    assert redacted == "https://store.example:8443/a/song.mp3"
    assert urls.redact_url("http://[bad/x.mp3?s3cret") == "http://[bad/x.mp3"
