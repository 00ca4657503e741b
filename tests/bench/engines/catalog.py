"""The engines that the comparison adds to those of `flamingo bench engine`."""

from flamingo_pod.bench.catalog import BUNDLED, EngineCatalog

ALL = EngineCatalog(
    prog="python -m bench.engines",
    descriptions={
        **BUNDLED.descriptions,
        "continuous": "transformers' continuous batching, with prompts of audio embeddings",
        "vllm": "vLLM with an AudioFlamingo3 of the same size, where it is installed",
    },
    process_module="bench.engines.process",
    packages={"vllm": "vllm"},
)
