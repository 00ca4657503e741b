"""A small comparison with other proxies: each gets all arrivals, and each is answered once.

What requests wait is measured by `python -m bench.sleeping_pods`, not here.
"""

import asyncio

import pytest
from bench.proxies import proxies
from bench.simulator import Setup, jobs
from bench.sleeping_pods import __main__ as bench
from bench.sleeping_pods import tables, traffic
from bench.sleeping_pods.fleet import fleet
from bench.sleeping_pods.pods import ORDERS

NUM_JOBS, DEADLINE_S = 12, 300.0


@pytest.fixture(scope="module", params=ORDERS)
def played(request, needs, tmp_path_factory):
    """Return the answers by proxy, and what the pods behind each report."""
    wanted = {each.name: each for each in proxies.PROXIES if each.name in ("flamingo", "haproxy")}
    programs = {name: proxies.find(each, None) or needs(name) for name, each in wanted.items()}
    arrivals = jobs(Setup(mix="clips", num_pods=2, num_jobs=NUM_JOBS))
    folder = tmp_path_factory.mktemp("fleets")
    first, second = (
        fleet(each, programs[name], request.param, 2, folder / name)
        for name, each in wanted.items()
    )
    with first as ours, second as theirs:
        assert (ours.refusal, theirs.refusal) == (None, None)
        for each in (ours, theirs):
            traffic.pods_report(each.pod)
        outcome = asyncio.run(bench.play([ours, theirs], arrivals, DEADLINE_S))
        reports = {each.name: traffic.pods_report(each.pod) for each in (ours, theirs)}
    return arrivals, outcome, reports


def test_each_proxy_gets_the_same_arrivals_and_each_is_answered(played):
    arrivals, outcome, _ = played
    for answers in outcome.values():
        assert [answer.job for answer in answers] == arrivals
        assert all(answer.status == 200 for answer in answers)
        assert all(0 < a.first_token_s < a.last_token_s for a in answers)


def test_the_pods_behind_each_proxy_do_each_request_once(played):
    for report in played[2].values():
        assert sum(report["num_taken"]) == sum(report["num_done"]) == NUM_JOBS


def test_the_tables_have_a_row_for_each_proxy(played):
    _, outcome, _ = played
    for text in (tables.waits(outcome), tables.goodput({0.8: outcome})):
        rows = [line.split(" | ") for line in text.splitlines()]
        assert [row[0] for row in rows[2:]] == ["| flamingo", "| haproxy"]
        assert len({len(row) for row in rows}) == 1
