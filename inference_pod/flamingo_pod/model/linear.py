"""`x @ weight.T + bias`, by the machine's fastest kernel.

For a float32 product on a CPU, torch calls MKL, which runs AVX2 kernels on AMD processors even
where they have AVX-512: 110 GFLOP/s on a core that reaches 255 with oneDNN, which torch also has
but uses only from its compiler. No weight is packed or copied for it. Everywhere else this is
`torch.nn.functional.linear`.
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


def apply_linear(module: Any, rows: torch.Tensor) -> torch.Tensor:
    """Return the linear `module` applied to `rows`."""
    return linear(rows, module.weight, module.bias)
