"""Calibration files: the temperatures at which the probabilities of a model's answers come true.

`flamingo bench quiz --calibration` writes one from answers to questions whose right answers are
known. It is about one checkpoint, and one number of orders of the options.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flamingo.client import taxonomies, yaml_files
from flamingo.client.taxonomies import TagQuestions, Taxonomy
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable
from flamingo_common.wire import decisions
from flamingo_common.wire.responses import ModelCard

Temperature = Annotated[float, Field(gt=0, le=decisions.MAX_TEMPERATURE)]


class Calibration(BaseModel):
    """The contents of a calibration file."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    model: Annotated[str, Field(min_length=1)]
    commit: str | None
    """Of the checkpoint's repository; null for a local directory or a built-in model."""
    orders: Annotated[int, Field(ge=1, le=decisions.MAX_ORDERS)]
    num_examples: Annotated[int, Field(ge=1)]
    num_clips: Annotated[int, Field(ge=1)]
    temperature: Temperature
    """Of all taxonomies without one of their own."""
    temperatures: dict[str, Temperature] = Field(default_factory=dict)
    """By the name of the taxonomy."""
    before: dict[str, float] = Field(default_factory=dict)
    """The negative log-likelihood and the expected calibration error at the temperature 1."""
    after: dict[str, float] = Field(default_factory=dict)
    """The same by cross-validation: each answer at a temperature without its clip."""

    def of(self, taxonomy: str) -> float:
        """Return the temperature for a taxonomy."""
        return self.temperatures.get(taxonomy, self.temperature)

    def orders_for(self, requested: int | None) -> int:
        """Return how many orders to ask in.

        Raises:
            BadRequest: the caller wants another number than the temperatures were fitted for.
        """
        if requested is not None and requested != self.orders:
            raise BadRequest(
                f"orders: the calibration was fitted with {self.orders}, not {requested}; leave"
                " orders out, or fit another calibration",
                param="orders",
            )
        return self.orders

    def check_model(self, cards: list[ModelCard]) -> None:
        """Check that it was fitted for one of the models that are served.

        Raises:
            BadRequest: it was not; the message names both.
        """
        mine = _checkpoint(self.model, self.commit)
        served = [_checkpoint(card.id, card.commit) for card in cards]
        if mine not in served:
            raise BadRequest(
                f"the calibration is for the model {mine}, and {' and '.join(served) or 'none'} is"
                " served; fit one for this model with flamingo bench quiz",
                param="calibration",
            )


def tag_questions(
    wanted: Sequence[str | Path | Taxonomy],
    orders: int | None,
    temperatures: Mapping[str, float] | None,
    calibration: Calibration | None,
) -> TagQuestions:
    """Return what is asked for the tags of taxonomies: of genre, if none is named.

    Raises:
        BadRequest: a taxonomy or a temperature is not valid, two taxonomies have one name, or
            there are temperatures or other orders beside a calibration.
    """
    chosen = [
        each if isinstance(each, Taxonomy) else taxonomies.load(each)
        for each in wanted or ("genre",)
    ]
    taxonomies.check_names(chosen)
    if calibration is None:
        taxonomies.check_temperatures(temperatures or {})
        return TagQuestions(chosen, orders, temperatures or {})
    if temperatures:
        raise BadRequest(
            "temperatures: the calibration has them already; give one of the two",
            param="temperatures",
        )
    own = {each.name: calibration.of(each.name) for each in chosen}
    return TagQuestions(chosen, calibration.orders_for(orders), own)


def opened(calibration: str | Path | Calibration) -> Calibration:
    """Return a calibration, or what is in the file of one.

    Raises:
        BadRequest: as `load`.
    """
    return calibration if isinstance(calibration, Calibration) else load(calibration)


def load(path: str | Path) -> Calibration:
    """Return what is in a calibration file.

    Raises:
        BadRequest: it cannot be read, or is not a calibration; all faults are listed.
    """
    document = yaml_files.read(Path(path), what="calibration")
    shown = printable.escape_line(str(path))
    if not isinstance(document, dict):
        raise BadRequest(
            f"{shown}: must be a calibration, as flamingo bench quiz --calibration writes it",
            param="calibration",
        )
    try:
        return Calibration.model_validate(document)
    except ValidationError as error:
        found = "; ".join(taxonomies.faults(error, Calibration))
        raise BadRequest(f"{shown} is not a calibration: {found}", param="calibration") from None


def to_json(calibration: Calibration) -> str:
    """Return the contents of a file, in JSON, which the web page reads, too."""
    return calibration.model_dump_json(indent=2) + "\n"


def _checkpoint(model: str, commit: str | None) -> str:
    return f"{model} ({commit})" if commit else model
