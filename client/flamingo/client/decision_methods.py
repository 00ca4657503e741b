"""The methods of the client for questions that are answered with probabilities."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Unpack

from flamingo.client import calls, taxonomies
from flamingo.client.calls import Call
from flamingo.client.fields import ClipOptions
from flamingo.client.sources import Audio
from flamingo.client.taxonomies import Tags, Taxonomy
from flamingo_common.wire.decisions import Decision

T = TypeVar("T")


class DecisionMethods(ABC):
    """The part of `AsyncFlamingoClient` about decisions."""

    @abstractmethod
    async def _post(self, call: Call[T], audio: Audio | None) -> T:
        """Send a request, and return its parsed response."""

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
            options: `model`, `truncate` and `allow_damaged`; see `ClipOptions`.

        Returns:
            The tags with their probabilities, by the name of the taxonomy.

        Raises:
            BadRequest: there is no such taxonomy, the file is not one, two have one name, or a
                temperature is not above 0.

        Example:
            client.tag("song.mp3", "mood").likely("mood")
        """
        chosen = [
            each if isinstance(each, Taxonomy) else taxonomies.load(each)
            for each in taxonomy or ("genre",)
        ]
        taxonomies.check_names(chosen)
        taxonomies.check_temperatures(temperatures or {})
        questions = [question for each in chosen for question in each.questions()]
        decision = await self.decisions(audio, questions, orders=orders, **options)
        return taxonomies.tags_of(chosen, decision, temperatures or {})
