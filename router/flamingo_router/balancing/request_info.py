"""What the balancer knows of a request.

Pure.
"""

from dataclasses import KW_ONLY, dataclass

from flamingo_common.wire.priority import Priority
from flamingo_router.balancing.ledger import Owner


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """One request, as far as it matters for the choice of a pod."""

    route: str
    audio_s: float = 0.0
    clip: str | None = None
    """The clip's name; None if it is unknown."""
    _: KW_ONLY
    whole_s: float = 0.0
    """The length of the whole clip, of which `audio_s` can be a part."""
    whole_clip: str | None = None
    """The name of the whole clip."""
    tenant: str = ""
    """The name of the API key; capacity is shared fairly between tenants."""
    weight: float = 1.0
    """The tenant's share, relative to the others' weights."""
    priority: Priority = Priority.NORMAL
    deadline_s: float | None = None
    """When the client no longer needs the response, by the router's clock."""
    max_tokens: int | None = None
    """Maximum tokens of all its answers together."""
    num_answers: int = 1
    """Choices, or questions of an analysis."""
    num_questions: int = 0
    """How many questions it asks to be decided, in all orders; 0 where that is unknown."""
    held: str | None = None
    """The name under which pods report that they hold its clip, if it has no more of it than the
    id: then it is sent to one of them."""
    clip_field: str = ""
    """Where its clip is in the request, for errors."""

    @property
    def owner(self) -> Owner:
        """Whose work it is."""
        return Owner(self.tenant, self.priority.is_low)
