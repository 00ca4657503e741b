"""How many slow uploads a client may have open."""

import pytest

from flamingo_common import errors
from flamingo_router.balancing.ledger import UPLOAD_S
from flamingo_router.balancing.open_uploads import OpenUploads


def test_a_client_with_too_many_slow_uploads_is_rejected_and_others_are_not():
    uploads = OpenUploads(max_per_client=3)
    numbers = [uploads.begin("a", now_s=0) for _ in range(3)]
    with pytest.raises(errors.RateLimited, match=r"limit: 3"):
        uploads.begin("a", now_s=UPLOAD_S)
    uploads.begin("b", now_s=UPLOAD_S)

    uploads.end("a", numbers[0])
    uploads.end("a", numbers[0])
    uploads.begin("a", now_s=UPLOAD_S)


def test_a_burst_of_fast_uploads_is_never_rejected():
    uploads = OpenUploads(max_per_client=3)
    for _ in range(100):
        uploads.begin("a", now_s=1.0)


def test_clients_without_uploads_fill_no_memory():
    uploads = OpenUploads(max_per_client=3)
    for number in range(1000):
        uploads.end(str(number), uploads.begin(str(number), now_s=0))
        uploads.end("never seen", 1)
    assert not uploads._opened_s
