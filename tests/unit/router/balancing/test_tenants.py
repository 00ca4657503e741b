"""The share of each tenant that has asked of late."""

import pytest

from flamingo_router.balancing.tenants import ACTIVE_S, ActiveTenants


def test_a_tenant_without_others_is_due_everything():
    tenants = ActiveTenants()
    assert tenants.share("a", now_s=0) == 1
    tenants.record("a", 2.0, now_s=0)
    assert tenants.share("a", now_s=0) == 1


def test_shares_are_by_weight_and_of_active_tenants_only():
    tenants = ActiveTenants()
    tenants.record("a", 3.0, now_s=0)
    for _ in range(100):
        tenants.record("b", 1.0, now_s=1)
    assert (tenants.share("a", now_s=1), tenants.share("b", now_s=1)) == (0.75, 0.25)
    assert tenants.share("b", now_s=ACTIVE_S) == pytest.approx(1)


def test_idle_tenants_fill_no_memory():
    tenants = ActiveTenants()
    for number in range(5000):
        tenants.record(str(number), 1.0, now_s=float(number))
    assert len(tenants._seen) <= ACTIVE_S + 1
