"""The kinds of value that fields of the custom resource have.

All are bounded: the API server refuses CEL rules whose cost it cannot bound,
and an object without limits would fill etcd.

Pure.
"""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

Name = Annotated[str, Field(min_length=1, max_length=253)]
"""An object's name."""
Label = Annotated[str, Field(max_length=63)]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]
Image = Annotated[str, Field(min_length=1, max_length=500)]
Count = Annotated[int, Field(ge=0, le=500)]
"""A number of servers."""
Labels = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)]
Size = Annotated[
    str, Field(max_length=20, pattern=r"^[0-9]+([.][0-9]+)?(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
]
"""Bytes, as Kubernetes writes them: 60Gi."""
Quantity = Annotated[int | str, WithJsonSchema({"x-kubernetes-int-or-string": True})]
Quantities = Annotated[dict[str, Quantity], Field(max_length=16)]
PodField = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""A piece of a pod's own specification; the API server checks it when the pod is made."""


LIST_MAP_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
"""A list whose items are told apart by name, so that two appliers may each own some."""
LIST_SET = {"x-kubernetes-list-type": "set"}


def unique_names(items: list[Any]) -> list[Any]:
    """Return `items`, no two of which have the same name."""
    unique([item.name for item in items])
    return items


def unique(items: list[str]) -> list[str]:
    """Return `items`, no two of which are the same.

    Raises:
        ValueError: names those that come twice.
    """
    twice = sorted({item for item in items if items.count(item) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} comes twice")
    return items
