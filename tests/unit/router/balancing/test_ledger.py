"""The ledger of one endpoint: which tickets a report includes, and what prefill is left."""

import pytest

from flamingo_router.balancing.cost import Cost
from flamingo_router.balancing.ledger import UPLOAD_S, Ledger, Ticket


def ticket(number, prefill_s=1.0, decode_s=0.5):
    return Ticket(number, "http://a", Cost(prefill_s, decode_s), num_kv_tokens=100)


def test_a_report_includes_only_tickets_that_were_sent_before_it_was_requested():
    ledger = Ledger()
    sent, uploading = ticket(1), ticket(2)
    for each in (sent, uploading):
        ledger.add(each, now_s=0)
    ledger.mark_sent(sent, now_s=1)
    ledger.mark_reported(requested_s=2)

    assert ledger.backlog_s(now_s=1, unreported_only=False) == 3.0
    assert ledger.backlog_s(now_s=1, unreported_only=True) == 1.5
    assert ledger.num_unreported_kv_tokens(now_s=1) == 100


def test_the_prefill_lane_moves_on_when_a_response_begins():
    ledger = Ledger()
    for number in (1, 2):
        ledger.add(ticket(number), now_s=10)
        ledger.mark_sent(ticket(number), now_s=10)
    assert ledger.queued_s(now_s=10.25, unreported_only=False) == 1.75

    ledger.mark_responding(ticket(1), now_s=10.5)
    assert ledger.num_waiting == 1
    assert ledger.queued_s(now_s=10.5, unreported_only=False) == 1.0
    assert ledger.queued_s(now_s=19, unreported_only=False) == 0.0


def test_a_slow_upload_delays_no_other_request():
    ledger = Ledger()
    ledger.add(ticket(1), now_s=0)

    assert ledger.queued_s(now_s=UPLOAD_S / 2, unreported_only=False) == 1.0
    assert ledger.queued_s(now_s=UPLOAD_S + 1, unreported_only=False) == 0.0


def test_a_slow_upload_counts_by_the_share_that_has_arrived():
    ledger = Ledger()
    ledger.add(ticket(1), now_s=0)
    ledger.mark_arrived(ticket(1), 0.1)

    assert ledger.backlog_s(now_s=UPLOAD_S / 2, unreported_only=True) == 1.5
    assert ledger.backlog_s(now_s=UPLOAD_S, unreported_only=True) == pytest.approx(0.15)
    assert ledger.num_unreported_kv_tokens(now_s=UPLOAD_S) == pytest.approx(10)
    ledger.mark_sent(ticket(1), now_s=9)
    assert ledger.backlog_s(now_s=9, unreported_only=True) == 1.5


def test_a_ticket_is_removed_once():
    ledger = Ledger()
    ledger.add(ticket(1), now_s=0)
    ledger.remove(ticket(1), now_s=1)

    assert ledger.backlog_s(now_s=1, unreported_only=False) == 0.0
    with pytest.raises(KeyError):
        ledger.remove(ticket(1), now_s=1)
