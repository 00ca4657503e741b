"""The process of one engine, as `flamingo_pod.bench.engine_process` with more engines."""

from bench.engines import transformers_continuous, vllm_cpu

from flamingo_pod.bench import engine_process

ENGINES = {
    **engine_process.ENGINES,
    "continuous": transformers_continuous.run,
    "vllm": vllm_cpu.run,
}

if __name__ == "__main__":
    engine_process.main(ENGINES)
