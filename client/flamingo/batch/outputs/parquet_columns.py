"""The columns of a Parquet output, which are the same in all of its parts.

Ours have fixed types: `answers` is a struct with a field for each question, and an answer in JSON
has a column for each field of its schema; `tag_probabilities` has one for each label. A column of
the input has the type of its values in the first part; a value that does not fit later, and a
column that comes later, go to the column `more`, as JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from flamingo.batch import answer_forms, extras, records
from flamingo.batch.answer_forms import Shape
from flamingo.batch.outputs import not_utf8
from flamingo.batch.outputs.journal_lines import OutputRow
from flamingo_common.errors import BadRequest

MORE = "more"
ANSWERS, TAGS = "answers", "tag_probabilities"
JSON_SHAPES: Mapping[str, Shape] = {ANSWERS: "json", TAGS: "json"}
"""Where the questions or labels are not known."""
OTHER_SHAPES: Mapping[str, Shape] = {
    "measured": answer_forms.MEASURED,
    "comparisons": answer_forms.COMPARISONS,
    "answer_confidences": "json",
}
EMBEDDING = "embedding"
TIMES = "frame_timestamps"
_TO = "to write Parquet"


class ParquetColumns:
    """Makes Arrow tables of rows, all with one schema."""

    def __init__(self, results: Sequence[str], shapes: Mapping[str, Shape] = JSON_SHAPES) -> None:
        """Take the names of the results that the task computes, and of some of them the shapes.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        self._arrow = extras.load("pyarrow", to=_TO)
        self._results = results
        self._shapes = {
            name: one for name, one in {**shapes, **OTHER_SHAPES}.items() if name in results
        }
        self.schema: Any = None
        """That of the first part, once there is one."""

    def continue_with(self, schema: Any) -> None:
        """Use the schema of the parts that an earlier run has written.

        Raises:
            BadRequest: the answers of this run have other columns.
        """
        for name in self._shapes.keys() & {*schema.names}:
            before, now = schema.field(name).type, self._arrow_type(self._shapes[name])
            if before != now:
                raise BadRequest(
                    f"the questions or recipes have changed: the output has {name} of the type"
                    f" {before}, and this run would write {now}. Write to another output"
                )
        self.schema = self.schema or schema

    def table(self, rows: Sequence[OutputRow]) -> Any:
        """Return an Arrow table; the first one decides the schema."""
        rows = [replace(row, fields=not_utf8.escape_all(dict(row.fields))) for row in rows]
        if self.schema is None:
            self.schema = self._new_schema(rows)
        more: list[dict[str, Any]] = [{} for _ in rows]
        names = {*self.schema.names} - {MORE}
        for row, rest in zip(rows, more, strict=True):
            rest |= {
                name: value
                for name, value in row.fields.items()
                if name not in names and name not in records.FIELDS and value is not None
            }
        arrays = [self._array(field, rows, more) for field in self.schema if field.name != MORE]
        texts = [json.dumps(rest) if rest else None for rest in more]
        arrays.append(self._arrow.array(texts, self._arrow.string()))
        return self._arrow.Table.from_arrays(arrays, schema=self.schema)

    def _new_schema(self, rows: Sequence[OutputRow]) -> Any:
        fixed = self._fixed()
        inputs: dict[str, Any] = {}
        for row in rows:
            inputs |= dict.fromkeys(name for name in row.fields if name not in records.FIELDS)
        inputs.pop(MORE, None)
        for name in inputs:
            inputs[name] = self._infer([row.fields.get(name) for row in rows])
        ours = {name: type_ for name, type_ in fixed.items() if name != "key"}
        more = {MORE: self._arrow.string()}
        types = {"key": fixed["key"], **inputs, **ours, **self._embedding_types(rows), **more}
        return self._arrow.schema(list(types.items()))

    def _fixed(self) -> dict[str, Any]:
        arrow = self._arrow
        text, count, seconds = arrow.string(), arrow.int64(), arrow.float64()
        tokens = ("prompt_tokens", "completion_tokens", "total_tokens")
        texts = ("caption", "answer")
        return {
            "key": text,
            **{name: text for name in texts if name in self._results},
            **({"finish_reason": text} if set(texts) & set(self._results) else {}),
            **{name: self._arrow_type(shape) for name, shape in self._shapes.items()},
            **(self._error_types() if ANSWERS in self._shapes else {}),
            "model": text,
            "usage": arrow.struct([(name, count) for name in tokens]),
            "audio_seconds": seconds,
            "audio_missing_seconds": seconds,
            "attempts": arrow.int32(),
            "error": arrow.struct([(name, text) for name in ("code", "message", "request_id")]),
        }

    def _error_types(self) -> dict[str, Any]:
        error = {"name": "text", "code": "text", "message": "text", "content": "text"}
        errors, cut = self._arrow_type([error]), self._arrow_type(["text"])
        return {"answer_errors": errors, "cut_answers": cut}

    def _arrow_type(self, shape: Shape) -> Any:
        arrow = self._arrow
        if isinstance(shape, Mapping):
            fields = [(name, self._arrow_type(each)) for name, each in shape.items()]
            return arrow.struct(fields)
        if isinstance(shape, str):
            types = {"integer": arrow.int64(), "number": arrow.float64(), "flag": arrow.bool_()}
            return types.get(shape, arrow.string())
        return arrow.list_(self._arrow_type(shape[0]))

    def _embedding_types(self, rows: Sequence[OutputRow]) -> dict[str, Any]:
        if EMBEDDING not in self._results:
            return {}
        arrow = self._arrow
        first = next((row for row in rows if row.embedding is not None), None)
        if first is None or first.embedding is None:
            return {EMBEDDING: arrow.list_(arrow.float32())}
        vector = arrow.list_(arrow.float32(), first.embedding.shape[1])
        if first.frame_timestamps is None:
            return {EMBEDDING: vector}
        return {EMBEDDING: arrow.list_(vector), TIMES: arrow.list_(arrow.float64())}

    def _infer(self, values: Sequence[Any]) -> Any:
        arrow = self._arrow
        try:
            found = arrow.array(values).type
        except arrow.ArrowException:
            return arrow.string()
        return arrow.string() if _has_nothing(arrow, found) else found

    def _array(self, field: Any, rows: Sequence[OutputRow], more: list[dict[str, Any]]) -> Any:
        if field.name == EMBEDDING:
            return self._embeddings(field.type, rows)
        if field.name == TIMES:
            return self._arrow.array([row.frame_timestamps for row in rows], field.type)
        values = [row.fields.get(field.name) for row in rows]
        if field.name in self._shapes:
            pairs = zip(values, more, strict=True)
            values = [self._fitted(field.name, one, rest) for one, rest in pairs]
        if field.name in records.FIELDS:
            return self._arrow.array(values, field.type)
        return self._input_array(field, values, more)

    def _fitted(self, name: str, value: Any, more: dict[str, Any]) -> Any:
        """Return a value as its column has it; one that does not fit goes to `more` as a whole."""
        try:
            return answer_forms.fitted(value, self._shapes[name])
        except ValueError:
            more[name] = value
            return None

    def _input_array(self, field: Any, values: list[Any], more: list[dict[str, Any]]) -> Any:
        if self._arrow.types.is_string(field.type):
            values = [_text(value) for value in values]
        try:
            return self._arrow.array(values, field.type)
        except self._arrow.ArrowException:
            pass
        for at, value in enumerate(values):
            try:
                self._arrow.array([value], field.type)
            except self._arrow.ArrowException:
                more[at][field.name] = value
                values[at] = None
        return self._arrow.array(values, field.type)

    def _embeddings(self, type_: Any, rows: Sequence[OutputRow]) -> Any:
        arrow = self._arrow
        is_pooled = arrow.types.is_fixed_size_list(type_)
        if arrow.types.is_list(type_) and not arrow.types.is_fixed_size_list(type_.value_type):
            return arrow.array([_flat(row) for row in rows], type_)
        size = type_.list_size if is_pooled else type_.value_type.list_size
        missing = np.zeros((1 if is_pooled else 0, size), np.float32)
        found = [missing if row.embedding is None else row.embedding for row in rows]
        flat = np.concatenate(found).reshape(-1)
        mask = arrow.array([row.embedding is None for row in rows])
        if is_pooled:
            return arrow.FixedSizeListArray.from_arrays(flat, type=type_, mask=mask)
        vectors = arrow.FixedSizeListArray.from_arrays(flat, type=type_.value_type)
        ends = np.cumsum([0, *(one.shape[0] for one in found)], dtype=np.int32)
        return arrow.ListArray.from_arrays(ends, vectors, type=type_, mask=mask)


def _flat(row: OutputRow) -> Any:
    return None if row.embedding is None else row.embedding.reshape(-1)


def _has_nothing(arrow: Any, type_: Any) -> bool:
    """Whether a part of a type is unknown, since no value has it; Parquet cannot store that."""
    types = arrow.types
    if types.is_list(type_):
        return _has_nothing(arrow, type_.value_type)
    if types.is_struct(type_):
        fields = [type_.field(at).type for at in range(type_.num_fields)]
        return not fields or any(_has_nothing(arrow, one) for one in fields)
    return bool(types.is_null(type_))


def _text(value: Any) -> str | None:
    """Return a value for a column of text: itself, or JSON of anything else."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
