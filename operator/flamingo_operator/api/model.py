"""The `model` block: the checkpoint that is served.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule


class SecretKey(Block):
    """SecretKey selects an entry of a Secret in the namespace of the FlamingoDeployment."""

    name: fields.Name
    """name is the name of the Secret."""
    key: fields.Name = "token"
    """key is the entry of the Secret."""


class Model(Block):
    """Model selects the checkpoint that is served."""

    RULES = (
        Rule(
            cel="self.id == oldSelf.id",
            message="model.id is immutable, because measured capacity and cold starts belong to the"
            " model: create another FlamingoDeployment",
            field_path=".id",
        ),
    )

    id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$",
        ),
    ]
    """id is the id of a model on the Hugging Face Hub, such as nvidia/music-flamingo-2601-hf, or
    flamingo-tiny, which is built in. It is immutable."""
    revision: Annotated[str, Field(min_length=1, max_length=64)] = "main"
    """revision is the branch, tag or commit of the model. Quote a commit, because YAML reads some
    of them as numbers."""
    served_name: fields.ShortText | None = None
    """servedName is the name of the model in the API. If unset, it is model.id."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """dtype is the data type of the weights. auto is bfloat16 on a GPU."""
    max_audio_seconds: Annotated[int, Field(ge=1, le=7200)] | None = None
    """maxAudioSeconds is the maximum duration of a clip. If unset, or higher than what the
    checkpoint supports, it is what the checkpoint supports."""
    token_secret_ref: SecretKey | None = None
    """tokenSecretRef selects the Hugging Face token, which is needed for a model that is not
    public."""
