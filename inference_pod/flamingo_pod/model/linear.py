"""`x @ weight.T + bias`, by the fastest kernel the machine has. Torch.

torch sends a float32 product on a CPU to MKL, which runs AVX2 kernels on AMD
processors whatever they can do: 110 GFLOP/s on one core that gives 255 through
oneDNN, which torch has too but keeps for its compiler. No weight is packed or
copied for it. Everywhere else this is `torch.nn.functional.linear`.
"""

from typing import Any

import torch
from torch.nn import functional

HAS_ONEDNN: bool = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # noqa: SLF001


def linear(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return `(…, out)` for `rows` of `(…, in)` and a `weight` of `(out, in)`."""
    if HAS_ONEDNN and rows.dtype == torch.float32 and rows.device.type == "cpu":
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - no public name
            rows, weight, bias, "none", [], ""
        )
        return product
    return functional.linear(rows, weight, bias)


def through(module: Any, rows: torch.Tensor) -> torch.Tensor:
    """Return what the linear `module` makes of `rows`."""
    return linear(rows, module.weight, module.bias)
