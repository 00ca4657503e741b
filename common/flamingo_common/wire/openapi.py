"""Generates the OpenAPI 3.1 document from the table of routes.

Pydantic describes the request and response types from the same classes that validate
them, so the document cannot differ from what the server does.

Pure.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from flamingo_common import errors
from flamingo_common.audio import formats
from flamingo_common.wire import DEADLINE_HEADER, PRIORITY_HEADER, REQUEST_ID_HEADER, sse
from flamingo_common.wire.deadline import MAX_DEADLINE_MS
from flamingo_common.wire.priority import Priority
from flamingo_common.wire.request_body import RequestBody
from flamingo_common.wire.requests import FORM_NAME, MAX_ID_CHARS, MAX_TEXT_CHARS
from flamingo_common.wire.responses import METRICS_HEADER
from flamingo_common.wire.route import ErrorTypes, Route
from flamingo_common.wire.routes import METRICS

Json = dict[str, Any]
SCHEMA_REF = "#/components/schemas/{model}"
DESCRIPTION = """NVIDIA's Music Flamingo: captions, answers to questions and embeddings for up to
20 minutes of music. The API is compatible with OpenAI's clients; unknown fields are errors, as
in OpenAI's API. Audio is sent as base64, as a URL, or as the `file` part of a form."""
SCALARS = frozenset({"boolean", "integer", "number", "string"})
FILE = {
    "type": "string",
    "format": "binary",
    "description": f"{formats.SUPPORTED_FORMATS}; the format is detected.",
}
AUDIO_ID = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ID_CHARS,
    "description": "In the place of the file: the id of a clip that was sent before.",
}
FORM_PROMPT = {
    "type": "string",
    "maxLength": MAX_TEXT_CHARS,
    "description": "Question about the file. For a conversation, set `messages` in `request`.",
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"enum": sorted({kind.type for kind in errors.BY_CODE.values()})},
                "param": {"type": ["string", "null"], "description": "The first invalid field."},
                "code": {"enum": sorted(errors.BY_CODE)},
            },
        }
    },
}
REQUEST_ID_HEADERS = {
    REQUEST_ID_HEADER: {
        "description": "Request ID, as in the server's log; a client can set it.",
        "required": True,
        "schema": {"type": "string"},
    }
}
RETRY_HEADERS = {
    "Retry-After": {"description": "Seconds to wait before a retry.", "schema": {"type": "string"}},
    "retry-after-ms": {
        "description": "Milliseconds to wait before a retry.",
        "schema": {"type": "string"},
    },
}
INFERENCE_HEADERS = (
    {
        "name": DEADLINE_HEADER,
        "in": "header",
        "description": "Milliseconds after which the client no longer needs the response.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_DEADLINE_MS},
    },
    {
        "name": PRIORITY_HEADER,
        "in": "header",
        "description": "`low` gives way to all other requests. Of one key's requests that wait,"
        " those with `high` are sent first. Default: `normal`.",
        "schema": {"enum": [priority.value for priority in Priority]},
    },
    {
        "name": METRICS_HEADER,
        "in": "header",
        "description": "`true`: the response has the timings of the request, in `metrics`.",
        "schema": {"type": "string"},
    },
)
NO_RETRY_HEADERS = {
    "x-should-retry": {
        "description": "`false`: OpenAI's clients do not retry.",
        "schema": {"const": "false"},
    }
}
FORM_DESCRIPTION = "Form fields are text; `request` has all other fields, as a JSON object."


class _Schemas(GenerateJsonSchema):
    """Pydantic's schemas, without titles that repeat a field's name, and without defaults.

    Code generators make a field with a default one that always has a value, so that a request
    would need each of them. The description names the default instead.
    """

    def field_title_should_be_set(self, _: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        described = super().default_schema(schema)
        described.pop("default", None)
        return described


def document(routes: Sequence[Route], *, version: str) -> Json:
    """Return the OpenAPI document of a server with `routes`."""
    schemas = _schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    statuses = _statuses({kind for route in routes for kind in route.error_types})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Flamingo Fleet",
            "version": version,
            "description": DESCRIPTION.replace("\n", " "),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas | {"Error": ERROR},
            "responses": {str(status): _error_response(status) for status in statuses},
            "headers": REQUEST_ID_HEADERS | RETRY_HEADERS | NO_RETRY_HEADERS,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "API key, if the server requires one.",
                }
            },
        },
    }


def _schemas(routes: Sequence[Route]) -> Json:
    models: list[tuple[Any, JsonSchemaMode]] = []
    for route in routes:
        asked = (route.request, route.json_body, route.upload, route.query)
        models += [(kind, "validation") for kind in asked if kind]
        models += [(kind, "serialization") for kind in (route.response, route.event) if kind]
    _, made = models_json_schema(
        list(dict.fromkeys(models)), ref_template=SCHEMA_REF, schema_generator=_Schemas
    )
    schemas: Json = made["$defs"]
    for route in routes:
        if route.request:
            schemas[f"{route.request.__name__}Fields"] = _fields(route, schemas)
    return schemas


def _operation(route: Route, schemas: Json) -> Json:
    operation: Json = {
        "operationId": _operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "responses": dict(_responses(route)),
    }
    if parameters := [*_parameters(route, schemas)]:
        operation["parameters"] = parameters
    if route.request:
        operation["requestBody"] = _request_body(route, schemas)
    if route.json_body:
        content = {"application/json": _json_content(route, route.json_body)}
        operation["requestBody"] = {"required": True, "content": content}
    if route.upload:
        form = {"schema": _upload_form(schemas[route.upload.__name__], schemas)}
        content = {"multipart/form-data": form}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(route: Route, schemas: Json) -> Iterator[Json]:
    if "{" in route.path:
        name = route.path.partition("{")[2].partition("}")[0]
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if route.request or route.event:
        yield from INFERENCE_HEADERS
    if route.query:
        for name, field in schemas[route.query.__name__]["properties"].items():
            scalar = _scalar(field)
            assert scalar is not None
            text = scalar.pop("description", "")
            yield {"name": name, "in": "query", "description": text, "schema": scalar}


def _upload_form(schema: Json, schemas: Json) -> Json:
    """Return the schema of a form with a file; the fields of an object are `object[field]`."""
    properties: Json = {"file": {"type": "string", "format": "binary", "description": "The file."}}
    for name, field in schema["properties"].items():
        scalar = _scalar(field)
        if scalar is not None:
            properties[name] = scalar
            continue
        inner = next(option["$ref"] for option in field["anyOf"] if "$ref" in option)
        for key, value in schemas[inner.rpartition("/")[2]]["properties"].items():
            properties[f"{name}[{key}]"] = value
    required = ["file", *schema["required"]]
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


def _operation_id(route: Route) -> str:
    words = route.path.strip("/").replace("{", "").replace("}", "").replace(".", "/").split("/")
    ending = "_index" if route.path.endswith("/") else ""
    return "_".join([route.method.lower(), *filter(None, words)]) + ending


def _request_body(route: Route, schemas: Json) -> Json:
    assert route.request is not None
    name = route.request.__name__
    return {
        "required": True,
        "content": {
            "application/json": _json_content(route, route.request),
            "multipart/form-data": {
                "schema": _form(route, schemas[name]),
                "encoding": {"request": {"contentType": "application/json"}},
            },
        },
    }


def _json_content(route: Route, kind: type[RequestBody]) -> Json:
    return {
        "schema": {"$ref": SCHEMA_REF.format(model=kind.__name__)},
        "examples": {key: {"value": value} for key, value in route.examples.items()},
    }


def _fields(route: Route, schemas: Json) -> Json:
    """Return the schema of a form's part `request`: all fields except the audio."""
    assert route.request is not None
    schema: Json = copy.deepcopy(schemas[route.request.__name__])
    for name in route.file_replaces:
        del schema["properties"][name]
    title = f"{route.request.__name__}Fields"
    return {
        "type": "object",
        "title": title,
        "properties": schema["properties"],
        "additionalProperties": False,
    }


def _form(route: Route, schema: Json) -> Json:
    assert route.request is not None
    plain = {
        name: scalar
        for name, field in schema["properties"].items()
        if name not in route.file_replaces
        and route.request.table[name].status == "implemented"
        and (scalar := _scalar(field)) is not None
    }
    rest = {"$ref": SCHEMA_REF.format(model=f"{route.request.__name__}Fields")}
    form: Json = {
        "type": "object",
        "description": FORM_DESCRIPTION,
        "oneOf": [{"required": ["file"]}, {"required": ["audio_id"]}],
        "propertyNames": {"pattern": FORM_NAME},
        "properties": {"file": FILE, "audio_id": AUDIO_ID, **plain, "request": rest},
        "additionalProperties": False,
    }
    if route.form_prompt_field:
        form["properties"][route.form_prompt_field] = FORM_PROMPT
        # A form without a file is answered, too: a question about text.
        del form["oneOf"]
        form["required"] = [route.form_prompt_field]
    return form


def _scalar(schema: Mapping[str, Any]) -> Json | None:
    """Return the branch of a field's schema that a form's text can set; None without one."""
    options = schema.get("anyOf", [schema])
    scalars = [option for option in options if option.get("type") in SCALARS]
    if not scalars:
        return None
    kept = {name: schema[name] for name in ("description",) if name in schema}
    return {name: value for name, value in scalars[0].items() if name != "default"} | kept


def _responses(route: Route) -> Iterator[tuple[str, Json]]:
    if route.redirects_to:
        location = {"description": "Relative URL.", "schema": {"const": route.redirects_to}}
        headers = {"Location": location, **_headers(REQUEST_ID_HEADERS)}
        yield "302", {"description": "Redirect.", "headers": headers}
        return
    done: Json = {
        "description": "Successful response.",
        "headers": _headers(REQUEST_ID_HEADERS),
        "content": dict(_content(route)),
    }
    yield "200", done
    if route.not_ready:
        yield "503", done | {"description": "Service unavailable."}
    for status in _statuses(route.error_types):
        yield str(status), {"$ref": f"#/components/responses/{status}"}


def _content(route: Route) -> Iterator[tuple[str, Json]]:
    if route.response:
        ref = SCHEMA_REF.format(model=route.response.__name__)
        yield "application/json", {"schema": {"$ref": ref}}
    if route.event:
        yield "text/event-stream", _stream(route.event.__name__, has_done=route.ends_with_done)
    for kind in route.media_types:
        yield kind, {"schema": {}} if kind != METRICS else {"schema": {"type": "string"}}


def _stream(event: str, *, has_done: bool) -> Json:
    """Return the media type of a stream: OpenAPI 3.1 can describe only a single event."""
    payload = {
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": SCHEMA_REF.format(model=event)},
    }
    last = "The last event is `[DONE]`" if has_done else "The last event has the whole response"
    data = {"anyOf": [payload, {"const": "[DONE]"}]} if has_done else payload
    return {
        "schema": {
            "type": "object",
            "description": f"One server-sent event, with `stream: true`. {last};"
            " an error ends the stream with an Error instead. Comments are heartbeats.",
            "properties": {"data": {"type": "string"} | data},
        },
        "example": f"data: {{…}}\n\n{sse.DONE.decode() if has_done else ''}",
    }


def _statuses(error_types: ErrorTypes) -> list[int]:
    return sorted({kind.status for kind in error_types})


def _error_response(status: int) -> Json:
    kinds = [kind for kind in errors.BY_CODE.values() if kind.status == status]
    lines = [f"`{kind.code}`: {(kind.__doc__ or '').splitlines()[0]}" for kind in kinds]
    retried = any(kind.retryable for kind in kinds)
    return {
        "description": "\n\n".join(lines),
        "headers": _headers(REQUEST_ID_HEADERS | (RETRY_HEADERS if retried else NO_RETRY_HEADERS)),
        "content": {
            "application/json": {
                "schema": {"$ref": SCHEMA_REF.format(model="Error")},
                "examples": {
                    kind.code: {"value": errors.to_body(kind((kind.__doc__ or "").splitlines()[0]))}
                    for kind in kinds
                },
            }
        },
    }


def _headers(headers: Mapping[str, Any]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
