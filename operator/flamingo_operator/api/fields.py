"""Types of fields that several blocks of the custom resource use.

All are bounded: the API server rejects CEL rules whose cost it cannot bound, and
an object without limits would fill etcd.

Pure.
"""

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from flamingo_operator.api import quantity
from flamingo_operator.api.core_field import CoreField

Name = Annotated[str, Field(min_length=1, max_length=253)]
"""An object's name."""
Label = Annotated[str, Field(max_length=63)]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]
Image = Annotated[str, Field(min_length=1, max_length=500)]
Count = Annotated[int, Field(ge=0, le=500)]
"""A number of server pods."""
Labels = Annotated[dict[str, str], CoreField("ObjectMeta", "labels", 0)]
Annotations = Annotated[dict[str, str], CoreField("ObjectMeta", "annotations", 0)]
Quantity = Annotated[
    int | str,
    PlainValidator(quantity.require),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "pattern": quantity.PATTERN,
            "maxLength": quantity.MAX_CHARS,
            "minimum": 0,
        }
    ),
]
"""A Kubernetes quantity, such as 40Gi or 500m."""
IntOrPercent = Annotated[
    int | str,
    PlainValidator(quantity.require_int_or_percent),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "pattern": quantity.PERCENTAGE,
            "maxLength": 4,
            "minimum": 0,
            "maximum": 500,
        }
    ),
]
"""A number of pods, or a percentage such as 50%."""
Quantities = Annotated[dict[str, Quantity], Field(max_length=16)]

LIST_MAP_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
"""A list with one item per name, so that two appliers may each own some items."""
LIST_SET = {"x-kubernetes-list-type": "set"}


def require_unique_names(items: list[Any]) -> list[Any]:
    """Return `items` if their names are unique.

    Raises:
        ValueError: lists the duplicate names.
    """
    require_unique([item.name for item in items])
    return items


def require_unique(items: list[str]) -> list[str]:
    """Return `items` if they are unique.

    Raises:
        ValueError: lists the duplicates.
    """
    duplicates = sorted({item for item in items if items.count(item) > 1})
    if duplicates:
        raise ValueError(f"duplicate values: {', '.join(duplicates)}")
    return items
