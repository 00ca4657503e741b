"""Parameters in the query of a URL, at real pods and a real router."""

import httpx2
import pytest

CHAT = "/v1/chat/completions"
ROUTES = [
    CHAT,
    "/v1/audio/captions",
    "/v1/audio/embeddings",
    "/v1/audio/analyze",
    "/v1/embeddings",
    "/v1/decisions",
]
QUESTION = {"messages": [{"role": "user", "content": "Name a genre."}], "max_tokens": 2}


@pytest.fixture(params=["router", "pod"])
def client(request, fleet):
    router, pods = fleet
    service = router if request.param == "router" else pods[0]
    with httpx2.Client(base_url=service.address, timeout=60) as opened:
        yield opened


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("query", ["max_tokens=5", "max_tokens", "api-version=1&max_tokens=5&n=2"])
def test_a_parameter_in_the_query_is_refused_by_its_name(client, clips, route, query):
    answer = client.post(f"{route}?{query}", files={"file": clips["notes.ogg"]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "unknown_parameter")
    assert error["param"] == "max_tokens"
    assert "in the body" in error["message"]


@pytest.mark.parametrize("query", ["", "?", "?api-version=2024-10-21", "?api-version="])
def test_a_query_that_changes_nothing_is_accepted(client, query):
    answer = client.post(f"{CHAT}{query}", json=QUESTION)
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["completion_tokens"] == 2


def test_a_parameter_with_undecodable_bytes_is_refused(client):
    answer = client.post(f"{CHAT}?%ff%00=1", json=QUESTION)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_parameter")


@pytest.mark.parametrize("path", ["/v1/models", "/health/live"])
def test_a_query_of_a_get_request_has_no_effect(client, path):
    assert client.get(f"{path}?max_tokens=5").json() == client.get(path).json()
