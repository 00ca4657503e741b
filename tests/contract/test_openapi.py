"""The OpenAPI document matches the applications, and its examples are valid requests."""

import io
import json
import re
import wave

import jsonschema_rs
import pybase64
import pytest

from flamingo_batches import app as batches_app
from flamingo_batches.api.requests import STATE
from flamingo_batches.settings import Settings as BatchesSettings
from flamingo_common import errors
from flamingo_common.wire import openapi, parse, routes
from flamingo_pod import app as pod_app
from flamingo_pod import pod
from flamingo_pod.settings import Settings as PodSettings
from flamingo_router import app as router_app
from flamingo_router.settings import Settings as RouterSettings

TABLES = {"pod": routes.POD, "router": routes.ROUTER, "batches": routes.BATCHES}
EXAMPLES = [
    pytest.param(route, example, id=f"{route.path}: {name}")
    for route in routes.INFERENCE
    for name, example in route.examples.items()
]


@pytest.fixture(scope="module")
def apps(tmp_path_factory):
    folder, lone = tmp_path_factory.mktemp("batches"), pod.create(PodSettings())
    stores = {"database_url": f"sqlite:///{folder}/b.db", "contents_url": str(folder / "c")}
    batches = batches_app.create(BatchesSettings(**stores))
    yield {
        "pod": pod_app.create(lone),
        "router": router_app.create(RouterSettings(endpoint=["http://127.0.0.1:1"])),
        "batches": batches,
    }
    lone.stop()
    batches[STATE].database.close()


@pytest.fixture(params=TABLES)
def any_document(request):
    return openapi.document(TABLES[request.param], version="1.2.3")


@pytest.fixture(params=["pod", "router"])
def document(request):
    """The document of a service that has the routes of the model."""
    return openapi.document(TABLES[request.param], version="1.2.3")


@pytest.mark.parametrize("service", TABLES)
def test_the_document_has_exactly_the_routes_that_are_served(apps, service):
    document = openapi.document(TABLES[service], version="1")
    documented = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    served = {
        (route.method, route.resource.canonical)
        for route in apps[service].router.routes()
        if route.method != "HEAD"  # added by aiohttp to every GET
    }
    assert documented == served


def test_the_document_is_valid_openapi_and_its_references_resolve(any_document):
    assert any_document["openapi"] == "3.1.0"
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(any_document))):
        found = any_document
        for step in reference.split("/"):
            found = found[step]
    for name, schema in any_document["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        assert schema.get("description") or name.endswith(("Fields", "Error")), name


def test_operation_ids_are_unique(any_document):
    names = [
        each["operationId"] for item in any_document["paths"].values() for each in item.values()
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("route", "example"), EXAMPLES)
def test_an_example_is_valid_for_type_and_schema(route, example):
    parse.validate_request(route.body, json.loads(json.dumps(example)))
    document = openapi.document([route], version="1")
    schema = {
        "$ref": f"#/components/schemas/{route.body.__name__}",
        "components": document["components"],
    }
    jsonschema_rs.validate(schema, example)


def test_the_clip_of_the_examples_is_audio():
    with wave.open(io.BytesIO(pybase64.b64decode(routes.SILENCE, validate=True))) as clip:
        assert clip.getnframes() / clip.getframerate() == 0.1


def test_every_error_is_documented(document):
    responses = document["components"]["responses"]
    codes = {code for each in responses.values() for code in _examples(each)}
    assert codes == set(errors.BY_CODE) - {"method_not_allowed"}


def _examples(response):
    return response["content"]["application/json"]["examples"]


def test_a_form_has_the_file_and_the_fields_that_text_can_set():
    body = _content("/v1/audio/captions")["multipart/form-data"]
    fields = body["schema"]["properties"]
    assert {"file", "audio_id", "style", "temperature", "stop", "request"} <= set(fields)
    assert not {"audio", "logit_bias", "response_format", "user"} & set(fields)
    assert body["schema"]["oneOf"] == [{"required": ["file"]}, {"required": ["audio_id"]}]


def test_limits_are_in_the_schema():
    fields = openapi.document(routes.POD, version="1")["components"]["schemas"]["ChatRequest"]
    for name in ("max_tokens", "top_k", "n", "seed", "temperature"):
        number, null = fields["properties"][name]["anyOf"]
        assert number.keys() & {"minimum", "exclusiveMinimum"}, name
        assert number.keys() & {"maximum", "exclusiveMaximum"}, name
        assert null == {"type": "null"}


def nodes(node):
    """Yield every object of a document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            yield from nodes(child)


def test_no_field_has_a_default_since_code_generators_would_require_it(any_document):
    assert [node for node in nodes(any_document) if "default" in node and "type" in node] == []
    assert '"default": null' not in json.dumps(any_document)


REQUIRED = {
    "ChatRequest": {"messages"},
    "CaptionRequest": {"audio"},
    "AnalyzeRequest": {"audio"},
    "EmbeddingRequest": {"audio"},
    "OpenAIEmbeddingRequest": set(),
    "ResponsesRequest": {"input"},
    "DecisionRequest": {"input", "questions"},
    "TranscriptionRequest": {"audio"},
    "Message": {"role"},
    "StreamOptions": set(),
    "ResponseFormat": {"type"},
    "AudioInput": set(),
}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_request_requires_only_what_has_no_default(document, name):
    schema = document["components"]["schemas"][name]
    assert set(schema.get("required", ())) == REQUIRED[name]


def requested(document):
    """Return the names of the schemas of requests, and of all objects inside them."""
    schemas, found = document["components"]["schemas"], set()
    left = {route.body.__name__ for route in routes.INFERENCE}
    left |= {f"{route.request.__name__}Fields" for route in routes.INFERENCE if route.request}
    while left:
        found |= left
        texts = json.dumps([schemas[name] for name in left])
        left = set(re.findall(r"#/components/schemas/(\w+)", texts)) - found
    return found


def test_every_object_of_a_request_refuses_other_fields(document):
    schemas = document["components"]["schemas"]
    for name in requested(document):
        assert schemas[name]["additionalProperties"] is False, name


def test_every_optional_field_of_a_request_can_be_null(document):
    schemas = document["components"]["schemas"]
    for name in requested(document):
        optional = set(schemas[name]["properties"]) - set(schemas[name].get("required", ()))
        for each in optional:
            field = schemas[name]["properties"][each]
            options = field.get("anyOf", [field])
            is_nullable = {"type": "null"} in options or None in field.get("enum", [None])
            assert is_nullable, f"{name}.{each}"


def test_a_response_requires_what_it_always_has(document):
    required = document["components"]["schemas"]["ChatCompletion"]["required"]
    assert {"id", "object", "created", "model", "choices", "usage"} <= set(required)


def _content(path):
    document = openapi.document(routes.POD, version="1")
    return document["paths"][path]["post"]["requestBody"]["content"]


def test_streamed_responses_refer_to_the_type_of_their_events():
    document = openapi.document(routes.POD, version="1")
    streamed = {
        path: re.findall(r'"contentSchema": {"\$ref": "([^"]+)"}', json.dumps(item))[0]
        for path, item in document["paths"].items()
        if "text/event-stream" in json.dumps(item)
    }
    assert streamed == {
        "/v1/chat/completions": "#/components/schemas/ChatCompletionChunk",
        "/v1/responses": "#/components/schemas/ResponseEvent",
        "/v1/audio/transcriptions": "#/components/schemas/TranscriptionEvent",
        "/v1/audio/captions": "#/components/schemas/CaptionChunk",
        "/v1/audio/analyze": "#/components/schemas/AnalysisChunk",
    }
