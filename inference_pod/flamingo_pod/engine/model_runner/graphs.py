"""Decoding steps as recorded graphs: one for each bucket of batch sizes.

How it works: at batch 1 a decoding step of the 8B model launches some 300 kernels, which takes the
host longer than they run. A CUDA graph records them once and launches them at once, from the
tokens' embeddings to the next tokens. It reads its input from the same memory each time, so a step
copies its arrays there first, padded to the next bucket; padded rows write to a slot of the pool
that no sequence has. All sizes write their logits and token ids to the same memory, which is read
before the next step is launched. A row that needs more than its logits, such as a penalty, gets its
token behind the graph, from the logits.

`Capture` is the only part that needs a GPU. Without one a body can be run as it is, from the same
buffers, which is how the rest is tested.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch

from flamingo_pod.engine.model_runner import buckets
from flamingo_pod.engine.model_runner.batch import Batch, Int32s
from flamingo_pod.engine.model_runner.device_batch import DeviceBatch, pack, unpack
from flamingo_pod.engine.sampling.batch import Array, PlainRows


class Decoded(NamedTuple):
    """The outputs of a decoding step, valid until the next one."""

    logits: torch.Tensor
    """`(rows, vocabulary)`"""
    token_ids: torch.Tensor
    """int64 `(rows,)`, as `plain_tokens` returns them."""


Body = Callable[[DeviceBatch, PlainRows[torch.Tensor]], Decoded]
"""Computes a decoding batch."""
Run = Callable[[], None]
"""Computes the step once, from and to the same memory each time."""
LIMIT = 0.1
"""Of the largest difference of a replay relative to the largest value. Roundings to 8 bits may
differ in all layers; of a replay that reads something else, nothing is right."""


class Capture(Protocol):
    """Records what a function launches."""

    def __call__(self, run: Run) -> Run:
        """Return a function that does the same as `run`, which has been run before."""
        ...


class CudaCapture:
    """Records CUDA graphs whose intermediate results share memory: only one runs at a time.

    All are recorded on one stream: with each stream cuBLAS keeps a workspace, of 32 MiB on Hopper.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def __call__(self, run: Run) -> Run:
        """Return a function that launches what `run` launches."""
        before, graph = torch.cuda.current_stream(), torch.cuda.CUDAGraph()
        self._stream.wait_stream(before)
        # Also so that the stream is the one before if the capture fails: torch would leave its own.
        with torch.cuda.stream(self._stream):
            run()  # torch requires a run on this stream before: libraries allocate at their first
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                run()
        before.wait_stream(self._stream)
        return graph.replay


@dataclass(frozen=True, slots=True)
class _Graph:
    packed: torch.Tensor
    """The input, on the device."""
    batch: DeviceBatch
    """Views of it."""
    plain: PlainRows[torch.Tensor]
    """More views of it."""
    outputs: Decoded
    """In memory that all sizes share."""
    replay: Run


class DecodeGraphs:
    """The recorded steps, each recorded when `record` or a batch first needs it."""

    def __init__(self, body: Body, capture: Capture, device: torch.device, trash_slot: int) -> None:
        self._body, self._capture = body, capture
        self._device = device
        self._trash_slot = trash_slot
        self._graphs: dict[int, _Graph] = {}
        self._outputs = Decoded(*torch.empty(2, 0, device=device))
        """Of the largest size."""

    @torch.inference_mode()
    def record(self, max_rows: int) -> None:
        """Record the buckets up to `max_rows`, the largest first: the others reuse its memory."""
        for num_rows in reversed(buckets.up_to(max_rows)):
            self._graph(num_rows)

    @torch.inference_mode()
    def disagreement(self) -> str | None:
        """Return how a replay differs from a step that is launched; None if none does.

        The first slots of the pool, which must be empty, are overwritten.
        """
        for num_rows in self._graphs:
            batch = buckets.trial(min(num_rows, self._trash_slot))
            found = self.decode(batch, PlainRows.greedy(batch.num_rows))
            assert found is not None  # it has just been recorded
            logits, token_ids = (output.clone() for output in found)
            graph = self._graphs[num_rows]  # its input is still that of the batch
            expected = self._body(graph.batch, graph.plain).logits[: batch.num_rows].float()
            error = float((logits.float() - expected).abs().max() / expected.abs().max())
            if not error <= LIMIT:  # nor is NaN
                return f"a replay of {num_rows} rows differs by {error:.1e} from its launch"
            if not torch.equal(logits.gather(1, token_ids[:, None])[:, 0], logits.amax(dim=1)):
                return f"a replay of {num_rows} greedy rows has tokens that are not the likeliest"
        return None

    @torch.inference_mode()
    def decode(
        self, batch: Batch, plain: PlainRows[Array], token_ids: torch.Tensor | None = None
    ) -> Decoded | None:
        """Return the outputs for each row of a batch, valid until the next call.

        `plain` has all of its rows. `token_ids`, int32 `(rows,)` on the device, take the place of
        the batch's own. None if no graph has this batch: it prefills, or has too many rows.
        """
        bucket = buckets.bucket_of(batch.num_rows)
        if bucket is None or not buckets.is_decoding_only(batch):
            return None
        graph = self._graph(bucket)
        host = buckets.padded(batch, bucket, self._trash_slot)
        packed = pack(host, self._device, _words(_padded(plain, bucket)))
        graph.packed.copy_(packed, non_blocking=True)
        if token_ids is not None:
            graph.batch.token_ids[: batch.num_rows].copy_(token_ids)
        graph.replay()
        return Decoded(*[output[: batch.num_rows] for output in graph.outputs])

    def _graph(self, num_rows: int) -> _Graph:
        if num_rows not in self._graphs:
            self._graphs[num_rows] = self._recorded(num_rows)
        return self._graphs[num_rows]

    def _recorded(self, num_rows: int) -> _Graph:
        host = buckets.unused(num_rows, self._trash_slot)
        words = _words(PlainRows.greedy(num_rows))
        packed = pack(host, self._device, words).to(self._device)
        sizes = [*map(len, words), len(packed) - sum(map(len, words))]
        keys, temperature, floor, rest = torch.split(packed, sizes)
        floats = temperature.view(torch.float32), floor.view(torch.float32)
        plain, batch = PlainRows(keys.view(torch.int64), *floats), unpack(host, rest)
        outputs = self._memory_like(self._body(batch, plain))

        def run() -> None:
            for output, computed in zip(outputs, self._body(batch, plain), strict=True):
                output.copy_(computed)

        return _Graph(packed, batch, plain, outputs, self._capture(run))

    def _memory_like(self, outputs: Decoded) -> Decoded:
        """Return memory for outputs of these shapes, the same for all sizes up to the first."""
        num_rows = len(outputs.logits)
        if len(self._outputs.logits) < num_rows:
            self._outputs = Decoded(*map(torch.empty_like, outputs))
        return Decoded(*[output[:num_rows] for output in self._outputs])


def _padded(plain: PlainRows[Array], num_rows: int) -> PlainRows[Array]:
    padding = PlainRows.greedy(num_rows - len(plain.keys))
    return PlainRows(*[np.concatenate(pair) for pair in zip(plain, padding, strict=True)])


def _words(plain: PlainRows[Array]) -> list[Int32s]:
    """Return the rows as int32, the keys first: those have to be aligned."""
    return [array.view(np.int32) for array in plain]
