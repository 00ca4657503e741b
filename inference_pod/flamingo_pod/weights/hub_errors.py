"""Translate the hub's errors into messages with advice.

Pure.
"""

from dataclasses import dataclass

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RevisionNotFoundError,
)

from flamingo_pod.weights.errors import HubUnreachable, ModelAccessDenied, ModelLoadFailed

UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
RETRYABLE = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class HubRequest:
    """What is requested of the hub, and whether with a token."""

    model_id: str
    revision: str
    endpoint: str
    has_token: bool

    @property
    def page(self) -> str:
        """The address of the model's page."""
        return f"{self.endpoint}/{self.model_id}"


def explain(request: HubRequest, error: Exception) -> ModelLoadFailed:
    """Return `error` with advice in its message; HubUnreachable may be retried."""
    name = repr(request.model_id)
    match error:
        case ModelLoadFailed():
            return error
        case GatedRepoError():
            return ModelAccessDenied(
                f"{name} is gated: accept its license at {request.page}, {_token_advice(request)}"
            )
        case RevisionNotFoundError():
            return ModelLoadFailed(
                f"{name} has no branch, tag or commit {request.revision!r}; see {request.page}"
            )
        case RemoteEntryNotFoundError():
            return ModelLoadFailed(f"{name}: the hub lists a file that it does not have: {error}")
        case HfHubHTTPError():
            return _explain_status(request, error, name)
        case _:
            return HubUnreachable(
                f"{request.endpoint} did not respond ({type(error).__name__}): {_one_line(error)};"
                " check the network and HF_ENDPOINT. Without network access, run flamingo pull"
                " elsewhere and mount its cache, or pass a folder as the model"
            )


def _explain_status(request: HubRequest, error: HfHubHTTPError, name: str) -> ModelLoadFailed:
    status = error.response.status_code
    if status == NOT_FOUND:
        return ModelLoadFailed(f"model {name} does not exist on {request.endpoint}; check its name")
    if status == UNAUTHORIZED and request.has_token:
        return ModelAccessDenied(
            f"{request.endpoint} rejected the token for {name}; check that it is still valid"
        )
    if status == UNAUTHORIZED:
        return ModelAccessDenied(
            f"model {name} does not exist on {request.endpoint} or needs a token: check the name;"
            f" if it is private or gated, {_token_advice(request)}"
        )
    if status == FORBIDDEN:
        return ModelAccessDenied(
            f"the token does not allow reading {name}: see {request.page}, {_token_advice(request)}"
        )
    if status in RETRYABLE or status >= 500:  # noqa: PLR2004 - the server's errors
        return HubUnreachable(f"{request.endpoint} responded with status {status}; try again later")
    return ModelLoadFailed(
        f"{request.endpoint} responded with status {status} for {name}: {_one_line(error)}"
    )


def _token_advice(request: HubRequest) -> str:
    if request.has_token:
        return "signed in as the owner of the token in use"
    return "then set a token in HF_TOKEN, or its file in HF_TOKEN_PATH"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
