"""A field of the custom resource that has a schema of core/v1.

Pure.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from flamingo_operator.api import pod_schema, schema_check
from flamingo_operator.api.pod_schema import Schema
from flamingo_operator.api.schema_check import Path

IGNORES_UNKNOWN = "ignores_unknown"
"""Key of the validation's context: accept what only a newer release knows. It is copied into pods,
and the API server judges it there."""


@dataclass(frozen=True)
class CoreField:
    """Annotate a field with this, and the API server judges it as it would judge it in a pod.

    The value is checked before it is parsed, so the field's own type need not repeat the schema.
    """

    of: str = "PodTemplateSpec"
    """The type of core/v1."""
    name: str = ""
    described_depth: int = 2
    """How deep the fields in it have descriptions. The CRD must not become too large."""
    is_outlined: bool = False
    """Whether the CRD has only the outline of the schema. The operator and the plugin check all of
    it, and the API server does when the pod is applied."""

    @property
    def node(self) -> Schema:
        """The schema."""
        return pod_schema.field(self.of, self.name)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_before_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        del schema, handler
        if self.is_outlined:
            return pod_schema.outline(self.node)
        return pod_schema.expand(self.node, self.described_depth)

    def _checked(self, value: Any, info: core_schema.ValidationInfo) -> Any:
        """Return the value.

        Raises:
            ValidationError: lists all errors. Rules are evaluated once all types are valid.
        """
        if value is None:
            return value
        errors = [*schema_check.type_errors(self.node, value)]
        if not (info.context or {}).get(IGNORES_UNKNOWN):
            errors += schema_check.unknown_errors(self.node, value)
        errors = errors or [*schema_check.rule_errors(self.node, value)]
        if errors:
            raise ValidationError.from_exception_data(
                self.name, [_line_error(path, message) for path, message in errors]
            )
        return value


def _line_error(path: Path, message: str) -> InitErrorDetails:
    # Braces would be placeholders of the message.
    error = PydanticCustomError("core_v1", "{message}", {"message": message})
    return {"type": error, "loc": path, "input": None}
