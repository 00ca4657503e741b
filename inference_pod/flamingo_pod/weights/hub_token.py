"""The hub's token, from where huggingface_hub looks for one, without what surrounds it."""

from huggingface_hub import constants, get_token

from flamingo_common.service import key_text
from flamingo_pod.weights.errors import ModelLoadFailed

SOURCE = "the hub's token (HF_TOKEN, or the file in HF_TOKEN_PATH)"


def read() -> str | None:
    """Return the token; None where there is none.

    Raises:
        ModelLoadFailed: no header can carry it.
    """
    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return None
    try:
        token = get_token()
        return key_text.clean_from(SOURCE, token) if token else None
    except key_text.InvalidKey as error:
        raise ModelLoadFailed(str(error)) from None
    except UnicodeError:
        raise ModelLoadFailed(f"{SOURCE} is not text; a token is visible ASCII") from None
