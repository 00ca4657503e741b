"""The OpenAPI document and the applications say the same, and its examples are what is taken."""

import io
import json
import re
import wave

import jsonschema_rs
import pybase64
import pytest

from flamingo_common import errors
from flamingo_common.wire import openapi, parse, routes
from flamingo_pod import app as pod_app
from flamingo_pod import pod
from flamingo_pod.settings import Settings as PodSettings
from flamingo_router import app as router_app
from flamingo_router.settings import Settings as RouterSettings

TABLES = {"pod": routes.POD, "router": routes.ROUTER}
EXAMPLES = [
    pytest.param(route, example, id=f"{route.path}: {name}")
    for route in routes.INFERENCE
    for name, example in route.examples.items()
]


@pytest.fixture(scope="module")
def apps():
    lone = pod.create(PodSettings())
    yield {
        "pod": pod_app.create(lone),
        "router": router_app.create(RouterSettings(endpoint=["http://127.0.0.1:1"])),
    }
    lone.stop()


@pytest.fixture(params=TABLES)
def document(request):
    return openapi.document(TABLES[request.param], version="1.2.3")


@pytest.mark.parametrize("service", TABLES)
def test_every_route_is_in_the_document_and_nothing_else_is(apps, service):
    document = openapi.document(TABLES[service], version="1")
    told = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    served = {
        (route.method, route.resource.canonical)
        for route in apps[service].router.routes()
        if route.method != "HEAD"  # aiohttp's own half of every GET
    }
    assert told == served


def test_the_document_is_valid_openapi_and_all_its_references_lead_somewhere(document):
    assert document["openapi"] == "3.1.0"
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        found = document
        for step in reference.split("/"):
            found = found[step]
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        assert schema.get("description") or name.endswith(("Fields", "Error")), name


def test_operations_have_names_of_their_own(document):
    names = [told["operationId"] for item in document["paths"].values() for told in item.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("route", "example"), EXAMPLES)
def test_an_example_is_taken_by_the_type_and_by_the_schema(route, example):
    parse.validate_request(route.request, json.loads(json.dumps(example)))
    document = openapi.document([route], version="1")
    schema = {
        "$ref": f"#/components/schemas/{route.request.__name__}",
        "components": document["components"],
    }
    jsonschema_rs.validate(schema, example)


def test_the_clip_of_the_examples_is_audio():

    with wave.open(io.BytesIO(pybase64.b64decode(routes.SILENCE, validate=True))) as clip:
        assert clip.getnframes() / clip.getframerate() == 0.1


def test_every_error_has_a_place_in_the_document(document):
    told = document["components"]["responses"]
    codes = {code for each in told.values() for code in _examples(each)}
    assert codes == set(errors.BY_CODE) - {"method_not_allowed"}


def _examples(response):
    return response["content"]["application/json"]["examples"]


def test_a_form_offers_the_file_and_what_text_can_say():
    body = _content("/v1/audio/captions")["multipart/form-data"]
    fields = body["schema"]["properties"]
    assert {"file", "style", "temperature", "stop", "request"} <= set(fields)
    assert not {"audio", "logit_bias", "response_format", "user"} & set(fields)
    assert body["schema"]["required"] == ["file"]


def test_bounds_are_in_the_schema():
    fields = openapi.document(routes.POD, version="1")["components"]["schemas"]["ChatRequest"]
    for name in ("max_tokens", "top_k", "n", "seed", "temperature"):
        number, null = fields["properties"][name]["anyOf"]
        assert number.keys() & {"minimum", "exclusiveMinimum"}, name
        assert number.keys() & {"maximum", "exclusiveMaximum"}, name
        assert null == {"type": "null"}


def _content(path):
    document = openapi.document(routes.POD, version="1")
    return document["paths"][path]["post"]["requestBody"]["content"]


def test_what_can_be_streamed_says_of_what_its_events_are():
    document = openapi.document(routes.POD, version="1")
    streamed = {
        path: re.findall(r'"contentSchema": {"\$ref": "([^"]+)"}', json.dumps(told))[0]
        for path, told in document["paths"].items()
        if "text/event-stream" in json.dumps(told)
    }
    assert streamed == {
        "/v1/chat/completions": "#/components/schemas/ChatCompletionChunk",
        "/v1/audio/captions": "#/components/schemas/CaptionChunk",
        "/v1/audio/analyze": "#/components/schemas/CaptionChunk",
    }
