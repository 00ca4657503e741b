"""What each kernel computes, in plain torch and in the same rounding."""

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere


def add_rms_norm(
    hidden: torch.Tensor, delta: torch.Tensor | None, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `hidden + delta` and its RMSNorm as Qwen2's: in float32, rounded before the weight."""
    total = hidden if delta is None else hidden + delta
    normed = F.rms_norm(total.float(), weight.shape, None, eps).to(total.dtype)
    return total, weight * normed


def rotate_and_write(
    qkv: torch.Tensor,
    bias: torch.Tensor | None,
    rotation: tuple[torch.Tensor, torch.Tensor],
    slots: torch.Tensor,
    kv: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """Write rotated keys and values to `kv`, and return rotated queries `(rows, heads, width)`."""
    keys, values = kv
    num_kv, width = keys.shape[1:]
    biased = qkv if bias is None else qkv + bias
    heads = biased.reshape(len(biased), -1, width)
    cos, sin = (each.unsqueeze(1) for each in rotation)
    first, second = heads[:, :-num_kv].chunk(2, dim=-1)
    rotated = heads[:, :-num_kv] * cos + torch.cat((-second, first), dim=-1) * sin
    is_written = slots >= 0
    written = slots[is_written].long()
    keys[written] = rotated[is_written, -num_kv:]
    values[written] = heads[is_written, -num_kv:]
    return rotated[:, :-num_kv]


def decode_attention(
    queries: torch.Tensor,
    kv: tuple[torch.Tensor, torch.Tensor],
    runs: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Return attention of each row over its runs, in float32 and rounded once."""
    keys, values = kv
    out = torch.zeros_like(queries)
    for row, (prefix_start, prefix_len, tail_start, tail_len) in enumerate(runs.tolist()):
        prefix = torch.arange(prefix_start, prefix_start + prefix_len, device=keys.device)
        tail = torch.arange(tail_start, tail_start + tail_len, device=keys.device)
        slots = torch.cat([prefix, tail])
        if len(slots):
            out[row] = _attend(queries[row], keys[slots], values[slots], scale)
    return out


def _attend(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> torch.Tensor:
    """Return attention of `query` `(heads, width)` over `(tokens, kv heads, width)`."""
    num_kv = keys.shape[1]
    grouped = query.float().reshape(num_kv, -1, query.shape[1])
    scores = torch.einsum("kgd,tkd->kgt", grouped, keys.float()) * scale
    return torch.einsum("kgt,tkd->kgd", scores.softmax(dim=-1), values.float()).flatten(0, 1)


def silu_mul(gate_up: torch.Tensor) -> torch.Tensor:
    """Return the SiLU of the first half of each row times its second half."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up
