"""vLLM's ways to constrain an answer: `structured_outputs`, and the older `guided_*` parameters.

Pure.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from flamingo_common.wire import message_parameters
from flamingo_common.wire.parameters import Table
from flamingo_common.wire.request_body import RequestBody

MAX_GRAMMAR_CHARS = 65_536
MAX_CHOICES = 10_000


def _schema_tag(schema: object) -> str:
    """Return the union branch of `schema`, so that an error is reported once, not per branch."""
    return "text" if isinstance(schema, str) else "object"


GrammarText = Annotated[str, Field(min_length=1, max_length=MAX_GRAMMAR_CHARS)]
Choices = Annotated[list[str], Field(min_length=1, max_length=MAX_CHOICES)]
Schema = Annotated[
    Annotated[GrammarText, Tag("text")] | Annotated[dict[str, Any], Tag("object")],
    Discriminator(_schema_tag),
]


class StructuredOutputs(RequestBody):
    """What the generated text must be: exactly one of JSON, a pattern, a choice or a grammar."""

    table: ClassVar[Table] = message_parameters.STRUCTURED_OUTPUTS

    json_: Annotated[Schema | None, Field(alias="json")] = None
    """JSON schema of the text, as an object or as JSON text."""
    regex: GrammarText | None = None
    """Regular expression that the whole text matches."""
    choice: Choices | None = None
    """Strings of which the text is one."""
    grammar: GrammarText | None = None
    """Grammar of the text, in Lark's or in GBNF's syntax."""
    json_object: bool | None = None
    """`true`: the text is a JSON object."""
    disable_any_whitespace: bool | None = None
    """`true`: JSON has no whitespace outside of strings."""

    @model_validator(mode="after")
    def _has_one_constraint(self) -> "StructuredOutputs":
        given = (self.json_, self.regex, self.choice, self.grammar, self.json_object or None)
        if sum(value is not None for value in given) != 1:
            raise ValueError(
                "exactly one of json, regex, choice, grammar and json_object: true is required"
            )
        return self


class GuidedOptions(BaseModel):
    """The parameters of older versions of vLLM, for the same."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    structured_outputs: StructuredOutputs | None = None
    """Constrain the generated text, as in vLLM's API."""
    guided_json: Schema | None = None
    """The older name of `structured_outputs.json`."""
    guided_regex: GrammarText | None = None
    """The older name of `structured_outputs.regex`."""
    guided_choice: Choices | None = None
    """The older name of `structured_outputs.choice`."""
    guided_grammar: GrammarText | None = None
    """The older name of `structured_outputs.grammar`."""
    guided_json_object: bool | None = None
    """The older name of `structured_outputs.json_object`."""
