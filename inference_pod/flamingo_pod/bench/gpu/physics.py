"""What a step must read and compute at least, from a model's dimensions.

Decoding reads all weights of the language model's layers and of its last product once a step, and
each sequence's KV; input embeddings are looked up, not read. A product of a row with a weight takes
two operations for each of its elements. Causal attention of `n` tokens takes `2 n² width`
operations in a layer: two products, of which the mask leaves half.

Pure.
"""

from dataclasses import dataclass

from flamingo_pod.model.dimensions import ENCODER_POSITIONS, ModelDimensions


@dataclass(frozen=True, slots=True)
class StepCosts:
    """The bytes and operations of a model's parts."""

    model: ModelDimensions
    element_bytes: int
    """Of a weight, and of an element of KV."""
    layer_element_bytes: int
    """Of a weight of the language model's layers."""

    @property
    def decode_weight_bytes(self) -> int:
        """Bytes that a decoding step reads of the weights, once for the whole batch."""
        in_layers = self.layer_element_bytes * self._num_layer_weights
        return in_layers + self.element_bytes * self._num_head_weights

    def decode_bytes(self, num_rows: int, context: int) -> int:
        """Return the bytes that a step reads for sequences of `context` tokens each."""
        kv_bytes = self.model.kv_token_bytes(self.element_bytes)
        return self.decode_weight_bytes + num_rows * context * kv_bytes

    def decode_flops(self, num_rows: int) -> float:
        """Return the operations of a step's products."""
        return 2.0 * num_rows * (self._num_layer_weights + self._num_head_weights)

    def prefill_flops(self, num_tokens: int) -> float:
        """Return the operations for a prompt from its start, without the last product."""
        of = self.model
        products = 2.0 * self._num_layer_weights * num_tokens
        width = of.num_heads * of.head_width
        return products + 2.0 * of.num_layers * width * float(num_tokens) ** 2

    def window_flops(self) -> float:
        """Return the operations of the encoder's layers for 30 s, without convolutions."""
        width, inner = self.model.encoder_hidden, self.model.encoder_intermediate
        products = 2.0 * width * (4 * width + 2 * inner) * ENCODER_POSITIONS
        attention = 4.0 * width * ENCODER_POSITIONS**2
        return self.model.encoder_layers * (products + attention)

    @property
    def _num_head_weights(self) -> int:
        return self.model.hidden * self.model.vocabulary

    @property
    def _num_layer_weights(self) -> int:
        """Elements of the matrices of all decoder layers."""
        of = self.model
        outputs = of.head_width * (2 * of.num_heads + 2 * of.num_kv_heads) + 3 * of.intermediate
        return of.num_layers * of.hidden * outputs


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the device reached in plain operations, in the same run."""

    bytes_per_s: float
    """Read and written by a copy."""
    flops_per_s: float
    """Of a matrix product in the model's dtype."""

    def decode_floor_s(self, costs: StepCosts, num_rows: int, context: int) -> float:
        """Return the least time of a decoding step: its bytes, or its operations if more."""
        reading_s = costs.decode_bytes(num_rows, context) / self.bytes_per_s
        return max(reading_s, costs.decode_flops(num_rows) / self.flops_per_s)

    def request_floor_s(
        self, costs: StepCosts, *, num_windows: float, num_prompt: int, num_output: int
    ) -> float:
        """Return the least time of one request alone: encoder, prefill and decoding."""
        encode_s = num_windows * costs.window_flops() / self.flops_per_s
        prefill_s = costs.prefill_flops(num_prompt) / self.flops_per_s
        context = num_prompt + num_output // 2
        return encode_s + prefill_s + num_output * self.decode_floor_s(costs, 1, context)
