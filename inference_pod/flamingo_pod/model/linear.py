"""`x @ weight.T + bias`, by the machine's fastest kernel.

For a float32 product on a CPU, torch calls MKL, which runs AVX2 kernels on AMD processors even
where they have AVX-512: 110 GFLOP/s on a core that reaches 255 with oneDNN, which torch also has
but uses only from its compiler. No weight is packed or copied for it. A weight in FP8 has a
product of its own (`fp8.py`). Everywhere else this is `torch.nn.functional.linear`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from flamingo_pod.model import fp8
from flamingo_pod.model.fp8 import Fp8Linear, Fp8Matrix

HAS_ONEDNN: bool = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # noqa: SLF001

Weight = torch.Tensor | Fp8Matrix
"""A weight of `(out, in)`."""
Activations = torch.Tensor | Fp8Matrix
"""Rows `(rows, in)` before a product; in FP8 only for a weight that is, too."""


def linear(rows: torch.Tensor, weight: Weight, bias: torch.Tensor | None) -> torch.Tensor:
    """Return `(…, out)` for `rows` of `(…, in)` and a `weight` of `(out, in)`."""
    if isinstance(weight, Fp8Matrix):
        return fp8.linear(rows, weight, bias)
    if HAS_ONEDNN and rows.dtype == torch.float32 and rows.device.type == "cpu":
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - no public name
            rows, weight, bias, "none", [], ""
        )
        return product
    return functional.linear(rows, weight, bias)


def product(
    rows: Activations, weight: Weight, bias: torch.Tensor | None, dtype: torch.dtype
) -> torch.Tensor:
    """Return `(rows, out)` in `dtype`, which is that of rows that are not in FP8."""
    if isinstance(rows, Fp8Matrix):
        assert isinstance(weight, Fp8Matrix)
        return fp8.product(rows, weight, bias, dtype)
    return linear(rows, weight, bias)


def apply_linear(module: Any, rows: torch.Tensor) -> torch.Tensor:
    """Return the linear `module` applied to `rows`."""
    return linear(rows, weight_of(module), module.bias)


def weight_of(module: Any) -> Weight:
    """Return the weight of a linear `module`."""
    weight: Weight = module.matrix if isinstance(module, Fp8Linear) else module.weight
    return weight


@torch.no_grad()
def fuse(modules: Sequence[Any]) -> tuple[Weight, torch.Tensor | None]:
    """Return the weights and biases of linear `modules` as one of each.

    Each module's become views of them, so that no weight is stored twice. Either all modules are
    in FP8, or none is.
    """
    weight = _join([module.weight for module in modules])
    bias = None if modules[0].bias is None else _join([module.bias for module in modules])
    if not isinstance(modules[0], Fp8Linear):
        return weight, bias
    return Fp8Matrix(weight, _join([module.weight_scale for module in modules])), bias


def _join(parameters: Sequence[torch.nn.Parameter]) -> torch.Tensor:
    joined = torch.cat([each.data for each in parameters])
    at = 0
    for each in parameters:
        stop = at + len(each)
        each.data = joined[at:stop]
        at = stop
    return joined
