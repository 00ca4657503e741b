"""What a hub's refusal means, and what to do about it.

Pure.
"""

from dataclasses import dataclass

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RevisionNotFoundError,
)

from flamingo_pod.weights.errors import AccessRefused, CannotLoad, HubUnreachable

UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
BUSY = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class HubRequest:
    """What the hub was asked for, and as whom."""

    model_id: str
    revision: str
    endpoint: str
    has_token: bool

    @property
    def page(self) -> str:
        """Return the model's page."""
        return f"{self.endpoint}/{self.model_id}"


def explain(asked: HubRequest, error: Exception) -> CannotLoad:
    """Return `error` as a sentence that says what to do; its type says whether to ask again."""
    name = repr(asked.model_id)
    match error:
        case CannotLoad():
            return error
        case GatedRepoError():
            return AccessRefused(
                f"{name} is gated: accept its licence at {asked.page}, {_token(asked)}"
            )
        case RevisionNotFoundError():
            return CannotLoad(
                f"{name} has no branch, tag or commit {asked.revision!r}; see {asked.page}"
            )
        case RemoteEntryNotFoundError():
            return CannotLoad(f"{name}: the hub lists a file that it does not have: {error}")
        case HfHubHTTPError():
            return _by_status(asked, error, name)
        case _:
            return HubUnreachable(
                f"{asked.endpoint} did not answer ({type(error).__name__}): {_line(error)}; check"
                " the network and HF_ENDPOINT. Without a network, pull the model elsewhere and"
                " mount the cache, or name a folder"
            )


def _by_status(asked: HubRequest, error: HfHubHTTPError, name: str) -> CannotLoad:
    status = error.response.status_code
    if status == NOT_FOUND:
        return CannotLoad(f"{asked.endpoint} knows no model {name}; check its name")
    if status == UNAUTHORIZED and asked.has_token:
        return AccessRefused(
            f"{asked.endpoint} does not take the token for {name}; is it still valid?"
        )
    if status == UNAUTHORIZED:
        return AccessRefused(
            f"{asked.endpoint} shows no model {name} to a stranger: check the name; if it is"
            f" private or gated, {_token(asked)}"
        )
    if status == FORBIDDEN:
        return AccessRefused(f"the token may not read {name}: see {asked.page}, {_token(asked)}")
    if status in BUSY or status >= 500:  # noqa: PLR2004 - the server's faults
        return HubUnreachable(f"{asked.endpoint} answered {status}; try again later")
    return CannotLoad(f"{asked.endpoint} answered {status} for {name}: {_line(error)}")


def _token(asked: HubRequest) -> str:
    if asked.has_token:
        return "with the account whose token is given here"
    return "and give a token: HF_TOKEN, or HF_TOKEN_PATH for a file"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
