"""The validation rules of the fields that the `server` and `router` blocks have in common.

Pure.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flamingo_operator.api.rules import Rule


def reserved_flags(block: str, flags: Sequence[str]) -> Rule:
    """Return the rule that `args` has none of the operator's flags."""
    return Rule(
        cel=f"!has(self.args) || !self.args.exists(a, a.split('=')[0] in {list(flags)})",
        message=f"{block}.args must not contain {', '.join(flags)}, which the operator sets:"
        " remove them",
        field_path=".args",
        holds=lambda self: not any(arg.partition("=")[0] in flags for arg in self.args),
    )


def reserved_prefix(block: str) -> Rule:
    """Return the rule that `env` has none of the operator's variables."""
    return Rule(
        cel="!has(self.env) || !self.env.exists(e, e.name.startsWith('FLAMINGO_'))",
        message=f"{block}.env must not contain FLAMINGO_* variables, which the operator sets: use"
        f" {block}.args instead",
        field_path=".env",
        holds=lambda self: not any(var.name.startswith("FLAMINGO_") for var in self.env),
    )


def reserved_variables(block: str, variables: Sequence[str], instead: str) -> Rule:
    """Return the rule that `env` has none of `variables`; `instead` is the field to use."""
    return Rule(
        cel=f"!has(self.env) || !self.env.exists(e, e.name in {list(variables)})",
        message=f"{block}.env must not contain {', '.join(variables)}, which would override what"
        f" the operator sets: use {instead} instead",
        field_path=".env",
        holds=lambda self: not any(var.name in variables for var in self.env),
    )


def reserved_volumes(block: str, mounts: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules that keep users' volumes apart from the operator's: path by name."""
    volume_names, paths = list(mounts), list(mounts.values())
    path_pattern = f"^({'|'.join(paths)})/*$"
    return (
        Rule(
            cel=f"!has(self.volumes) || !self.volumes.exists(v, v.name in {volume_names})",
            message=f"{block}.volumes must not contain {', '.join(volume_names)}, which the"
            " operator adds: choose another name",
            field_path=".volumes",
            holds=lambda self: not any(one["name"] in mounts for one in self.volumes),
        ),
        Rule(
            cel="!has(self.volumeMounts) || !self.volumeMounts.exists(m,"
            f" m.mountPath.matches('{path_pattern}'))",
            message=f"{block}.volumeMounts must not mount {', '.join(paths)}, where the operator"
            " mounts volumes: choose another mountPath",
            field_path=".volumeMounts",
            holds=lambda self: (
                not any(re.search(path_pattern, one["mountPath"]) for one in self.volume_mounts)
            ),
        ),
        Rule(
            cel="!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes)"
            " && self.volumes.exists(v, v.name == m.name))",
            message=f"each name in {block}.volumeMounts must be the name of a volume in"
            f" {block}.volumes: add the volume, or correct the name",
            field_path=".volumeMounts",
            holds=_every_mount_has_a_volume,
        ),
    )


def _every_mount_has_a_volume(block: Any) -> bool:
    return {one["name"] for one in block.volume_mounts} <= {one["name"] for one in block.volumes}


def no_gpu(block: str, advice: str) -> tuple[Rule, ...]:
    """Return the rules that `resources` has no GPU; `advice` says what to do."""
    return tuple(
        Rule(
            cel=f"!has(self.resources) || !has(self.resources.{kind})"
            f" || !self.resources.{kind}.exists(k, k.contains('/gpu') || k.contains('/mig-'))",
            message=f"{block}.resources.{kind} must not contain a GPU: {advice}",
            field_path=f".resources.{kind}",
            holds=_has_no_gpu(kind),
        )
        for kind in ("requests", "limits")
    )


def _has_no_gpu(kind: str) -> Callable[[Any], bool]:
    def holds(block: Any) -> bool:
        return not any("/gpu" in one or "/mig-" in one for one in getattr(block.resources, kind))

    return holds
