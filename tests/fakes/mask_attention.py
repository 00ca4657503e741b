"""`Attention` by a mask over the whole pool: slow, plain, and from the device's arrays alone."""

import torch


class MaskAttention:
    """Computes every score, and masks those that a row does not attend to."""

    def __init__(self, pool, num_heads):
        self.pool, self.num_heads = pool, num_heads
        self.num_kv = pool.keys[0].shape[1]

    def plan(self, batch):
        """Prepare the mask `(rows, slots)`: rows are the last of what their chunk attends to."""
        chunk_of_row = torch.searchsorted(
            batch.row_starts, torch.arange(len(batch.slots)), right=True, out_int32=True
        )
        self.batch, self.chunks = batch, chunk_of_row - 1
        slots = torch.arange(len(self.pool.keys[0]))
        first, num_first, second, num_second = batch.runs[self.chunks].unsqueeze(-1).unbind(1)
        in_first = (slots >= first) & (slots < first + num_first)
        in_second = (slots >= second) & (slots < second + num_second)
        # The rank of a slot among those that the chunk's last row attends to.
        rank = torch.where(in_second, num_first + slots - second, slots - first)
        behind = batch.row_starts[self.chunks + 1] - 1 - torch.arange(len(batch.slots))
        is_early = rank < num_first + num_second - behind.unsqueeze(-1)
        self.mask = (in_first | in_second) & is_early

    def write_and_attend(self, layer, qkv, rotation, *, is_fp8=False):
        """Return attention `(rows, heads * head width)`."""
        heads = qkv.view(len(qkv), self.num_heads + 2 * self.num_kv, -1)
        queries, keys, values = heads.split([self.num_heads, self.num_kv, self.num_kv], dim=1)
        slots = self.batch.slots.long()
        self.pool.keys[layer][slots] = _rotated(keys, rotation)
        self.pool.values[layer][slots] = values
        group = self.num_heads // self.num_kv
        all_keys = self.pool.keys[layer].repeat_interleave(group, dim=1)
        all_values = self.pool.values[layer].repeat_interleave(group, dim=1)
        scores = torch.einsum("rhw,thw->rht", _rotated(queries, rotation), all_keys)
        weights = (scores * self.pool.scale).masked_fill(~self.mask[:, None], -torch.inf)
        # Slots that were never written may hold anything: 0 times NaN is NaN.
        return torch.einsum("rht,thw->rhw", weights.softmax(-1), all_values.nan_to_num()).flatten(1)


def _rotated(heads, rotation):
    cos, sin = (each.unsqueeze(1) for each in rotation)
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin
