"""The `inferencePool` block: the server pods behind a Gateway with an endpoint picker.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.api import fields
from flamingo_operator.api.metadata import ObjectMetadata
from flamingo_operator.api.rules import Block


class PickerPort(Block):
    """PickerPort is the port of an endpoint picker."""

    number: Annotated[int, Field(ge=1, le=65_535)] = 9002
    """number is the port of the Service."""


class EndpointPicker(Block):
    """EndpointPicker selects the extension that chooses a server pod for each request."""

    name: fields.Name
    """name is the Service of the endpoint picker, in the namespace of the FlamingoDeployment."""
    port: PickerPort = PickerPort()
    """port is the port of the Service."""
    failure_mode: Literal["FailOpen", "FailClose"] = "FailClose"
    """failureMode determines whether the gateway chooses a server pod itself (FailOpen) or rejects
    requests (FailClose) while the endpoint picker does not respond."""


class InferencePool(ObjectMetadata):
    """InferencePool is the pool of server pods for a Gateway with an endpoint picker."""

    endpoint_picker_ref: EndpointPicker
    """endpointPickerRef selects the endpoint picker."""
