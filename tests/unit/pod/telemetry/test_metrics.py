import asyncio

import pytest
from aiohttp import web

from flamingo_common.errors import InternalError, Overloaded, RequestTooLarge
from flamingo_pod.telemetry.metrics import Metrics


@pytest.mark.parametrize(
    ("raised", "code", "error"),
    [
        (Overloaded("full"), "429", Overloaded.code),
        (web.HTTPRequestEntityTooLarge(1, 2), "413", RequestTooLarge.code),
        (ConnectionResetError(), "499", None),
        (asyncio.CancelledError(), "499", None),
        (ValueError("a bug"), "500", InternalError.code),
    ],
)
def test_a_request_is_counted_however_it_ends(raised, code, error):
    metrics = Metrics()
    with pytest.raises(type(raised)), metrics.request("/v1/x"):
        raise raised
    count = metrics.registry.get_sample_value
    assert count("flamingo_requests_total", {"route": "/v1/x", "code": code}) == 1
    assert count("flamingo_errors_total", {"code": error or ""}) == (1 if error else None)
