"""The methods of the client for questions that are answered with probabilities."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Unpack

from flamingo.client import calibrations, calls
from flamingo.client.calibrations import Calibration
from flamingo.client.calls import Call
from flamingo.client.fields import ClipOptions
from flamingo.client.sources import Audio
from flamingo.client.taxonomies import Tags, Taxonomy
from flamingo_common.wire.decisions import Decision
from flamingo_common.wire.responses import ModelCard

T = TypeVar("T")


class DecisionMethods(ABC):
    """The part of `AsyncFlamingoClient` about decisions."""

    @abstractmethod
    async def _post(self, call: Call[T], audio: Audio | None) -> T:
        """Send a request, and return its parsed response."""

    @abstractmethod
    async def models(self) -> list[ModelCard]:
        """Return the models that are served."""

    async def decisions(
        self,
        audio: Audio | None,
        questions: Sequence[Mapping[str, Any]],
        *,
        text: str | None = None,
        orders: int | None = None,
        temperature: float | None = None,
        **options: Unpack[ClipOptions],
    ) -> Decision:
        """Answer questions about `audio` with probabilities: OpenAI's Decisions API.

        Args:
            audio: as for `caption`; None for questions about `text`.
            questions: OpenAI's, up to 400: dicts with `type` (`predicate`, `choice` or `score`),
                `instructions`, and `choices` or `levels`.
            text: what the questions are about, instead of audio.
            orders: ask each question with its options in so many orders, and average.
            temperature: divide the log-probabilities by it; above 1 is less sure.
            options: `model`, `truncate` and `allow_damaged`; see `ClipOptions`.

        Returns:
            The answers in the order of the questions, and the usage.

        Example:
            client.decisions("song.mp3", [{"type": "predicate", "instructions": "It is live."}])
        """
        call = calls.decisions(
            questions, input=text, orders=orders, temperature=temperature, **options
        )
        return await self._post(call, audio)

    async def tag(
        self,
        audio: Audio,
        *taxonomy: str | Path | Taxonomy,
        orders: int | None = None,
        temperatures: Mapping[str, float] | None = None,
        calibration: str | Path | Calibration | None = None,
        **options: Unpack[ClipOptions],
    ) -> Tags:
        """Return how likely each label of some taxonomies is for `audio`, in one request.

        Args:
            audio: as for `caption`.
            *taxonomy: names of ready taxonomies (`genre`, `mood`, `instruments`, `voice`,
                `language`, `era`, `use`), or YAML files; `genre` without any.
            orders: as for `decisions`.
            temperatures: by the name of the taxonomy: the logarithms of its probabilities are
                divided by it.
            calibration: the file with the temperatures, as `flamingo bench quiz` writes it.
            options: `model`, `truncate` and `allow_damaged`; see `ClipOptions`.

        Returns:
            The tags with their probabilities, by the name of the taxonomy.

        Raises:
            BadRequest: there is no such taxonomy, the file is not one, two have one name, a
                temperature is not above 0, or the calibration is not valid or of another model.

        Example:
            client.tag("song.mp3", "mood").likely("mood")
        """
        found = None if calibration is None else calibrations.opened(calibration)
        asked = calibrations.tag_questions(taxonomy, orders, temperatures, found)
        if found is not None:
            found.check_model(await self.models())
        decision = await self.decisions(audio, asked.questions(), orders=asked.orders, **options)
        return asked.tags(decision)
