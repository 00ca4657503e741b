"""The base of all objects in a request: its fields are validated, and other names are errors.

Pure.
"""

import functools
import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, PydanticUndefined

from flamingo_common.wire import data_url, unknown_parameters
from flamingo_common.wire.parameters import Parameter, Table
from flamingo_common.wire.unknown_parameters import Checking

NULL: JsonDict = {"type": "null"}
MAX_URL_CHARS = 8192
MAX_SCHEME_CHARS = 32


def _to_int(value: object) -> object:
    """Return 8.0 as the integer 8: JSON has only one type of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE_NUMBER = BeforeValidator(_to_int)
"""Comes last in an annotation, so that the limits stay in the schema."""


class RequestBody(BaseModel):
    """Base of all request bodies: wrong types and unknown fields are errors.

    Strict, as in the OpenAPI document: `"1"` is not a number. The fields of a form are
    text and are converted (`flamingo_common.wire.parse`).
    """

    table: ClassVar[Table] = {}
    """The rows of this object in the table of parameters."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, fields: object, info: ValidationInfo) -> object:
        if not isinstance(fields, dict):
            return fields
        checking = info.context if isinstance(info.context, Checking) else Checking()
        checked = unknown_parameters.check(fields, _names(cls), cls.table, checking)
        nulls = [name for name in _defaults(cls) if name in checked and checked[name] is None]
        return {name: checked[name] for name in checked if name not in nulls} if nulls else checked

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler(core_schema)
        described = handler.resolve_ref_schema(schema)
        properties = described.setdefault("properties", {})
        properties |= {
            name: _with_default(properties[name], default)
            for name, default in _defaults(cls).items()
        }
        properties |= _accepted(cls)
        return schema


def _with_default(described: dict[str, Any], default: object) -> JsonDict:
    """Return the schema of a field with a default, which null means, too."""
    text = f"{described.pop('description')} Default: `{json.dumps(default)}`."
    return {"anyOf": [described, NULL], "description": text}


@functools.cache
def _defaults(kind: type[RequestBody]) -> JsonDict:
    """Return the defaults that are not null, by field."""
    return {
        name: field.default
        for name, field in kind.model_fields.items()
        if field.default not in (None, PydanticUndefined)
    }


@functools.cache
def _names(kind: type[RequestBody]) -> frozenset[str]:
    """Return the names of the fields that are validated."""
    return frozenset(field.alias or name for name, field in kind.model_fields.items())


def _accepted(kind: type[RequestBody]) -> JsonDict:
    """Return the JSON schemas of the parameters that are accepted without a field."""
    rows = [row for name, row in kind.table.items() if name not in _names(kind)]
    return {row.name: _accepted_values(row) for row in rows}


def _accepted_values(row: Parameter) -> JsonDict:
    if row.status == "ignored":
        return {"description": f"Has no effect: {row.reason}."}
    values: list[Any] = [*row.harmless, None]
    return {"enum": values, "description": f"Not supported: {row.reason}."}


def exactly_one_of(*names: str) -> JsonDict:
    """Return the JSON schema keywords that require exactly one of these fields."""
    return {"oneOf": [_only(name, names) for name in names]}


def _only(this: str, names: Sequence[str]) -> JsonDict:
    properties: JsonDict = dict.fromkeys(names, NULL)
    properties[this] = {"not": NULL}
    return {"required": [this], "properties": properties}


def _check_length(url: str) -> str:
    if len(url) <= MAX_URL_CHARS or data_url.is_data_url(url):
        return url
    if "://" not in url[:MAX_SCHEME_CHARS]:
        raise ValueError("must be an http(s) or data: URL (base64: data:…;base64,…)")
    raise ValueError(f"an http(s) URL can have at most {MAX_URL_CHARS} characters")


Url = Annotated[str, AfterValidator(_check_length)]
"""A `data:` URL can be as long as the audio in base64."""
