"""The dashboard of the engines in the server pods.

Pure.
"""

from typing import Final

from grafana import (
    FLEET,
    Dashboard,
    Panel,
    Query,
    Row,
    heatmap,
    mean,
    quantile,
    quantiles,
    rate,
    stat,
)

PODS: Final = f'{FLEET}, pod=~"$pod"'
SERVER: Final = f"flamingo_build_info{{{PODS}}}"
OUTPUT: Final = f'{PODS}, type="output"'
BY_POD: Final = "{{pod}}"


def gauge(metric: str, legend: str = BY_POD) -> list[Query]:
    """Return the query of a gauge of each pod."""
    return [Query(f"{metric}{{{PODS}}}", legend)]


OVERVIEW: Final = Row(
    "Overview",
    [
        stat(
            Panel(
                "Server pods",
                "Server pods that Prometheus scrapes, ready or not.",
                [Query(f"count({SERVER})", "pods")],
            )
        ),
        stat(
            Panel(
                "Generated tokens",
                "Tokens generated per second by all pods together.",
                [Query(rate("flamingo_tokens_total", OUTPUT), "tokens")],
                unit="suffix: tok/s",
            )
        ),
        stat(
            Panel(
                "Running",
                "Answers that the engines work on.",
                [Query(f"sum(flamingo_requests_running{{{PODS}}})", "running")],
            )
        ),
        stat(
            Panel(
                "Waiting",
                "Answers that wait for an engine. Healthy: 0 most of the time.",
                [Query(f"sum(flamingo_requests_waiting{{{PODS}}})", "waiting")],
                steps=[(None, "green"), (1, "orange")],
            )
        ),
        stat(
            Panel(
                "KV cache, fullest pod",
                "Share of the KV cache in use by running sequences. Near 100 % sequences wait or"
                " are preempted: use fewer concurrent answers, shorter clips, or more pods.",
                [Query(f"max(flamingo_kv_cache_usage_ratio{{{PODS}}})", "used")],
                unit="percentunit",
                maximum=1,
                steps=[(None, "green"), (0.8, "orange"), (0.95, "red")],
            )
        ),
        stat(
            Panel(
                "Longest time without progress",
                "Of pods that have work: seconds since their engine last began or ended a step."
                " Healthy: below a few seconds.",
                [
                    Query(
                        f"max((time() - flamingo_engine_last_progress_timestamp_seconds{{{PODS}}})"
                        f" * (flamingo_requests_running{{{PODS}}} > bool 0))",
                        "without progress",
                    )
                ],
                unit="s",
                steps=[(None, "green"), (30, "orange"), (120, "red")],
                runbook="FlamingoEngineStalled",
            )
        ),
    ],
)

STEPS: Final = Row(
    "Steps and batches",
    [
        Panel(
            "Steps",
            "Engine steps per second. Few steps with many running answers are long steps: see the"
            " time by stage. 0 with running answers is a stall.",
            [Query(rate("flamingo_engine_steps_total", PODS, by="pod"), BY_POD)],
            unit="suffix: steps/s",
        ),
        Panel(
            "Batch size",
            "Answers that each engine works on at once. A larger batch uses the GPU better and"
            " makes each answer slower; --max-concurrent-answers is the limit.",
            gauge("flamingo_requests_running"),
        ),
        Panel(
            "Generated tokens per step",
            "Mean number of tokens that a step generates: the batch size of decoding. Below the"
            " batch size, steps are spent on prefill.",
            [
                Query(
                    f"{rate('flamingo_tokens_total', OUTPUT, by='pod')}"
                    f" / ({rate('flamingo_engine_steps_total', PODS, by='pod')} > 0)",
                    BY_POD,
                )
            ],
        ),
        Panel(
            "Time by stage",
            "Seconds that the engines spend in each stage per second, of the chosen pods"
            " together. The largest one is what to speed up; a sum near the number of pods is"
            " saturation.",
            [Query(rate("flamingo_engine_seconds_total", PODS, by="stage"), "{{stage}}")],
            unit="suffix: s/s",
            is_stacked=True,
        ),
        Panel(
            "Busy engines",
            "Share of the time in which each engine computes. Near 100 % for long means that the"
            " fleet needs more pods; far apart means uneven balancing.",
            [Query(rate("flamingo_engine_seconds_total", PODS, by="pod"), BY_POD)],
            unit="percentunit",
            maximum=1,
        ),
        Panel(
            "Tokens by type",
            "Tokens per second: audio and text of prompts, those of them whose KV was cached, and"
            " generated output.",
            [Query(rate("flamingo_tokens_total", PODS, by="type"), "{{type}}")],
            unit="suffix: tok/s",
        ),
    ],
)

MEMORY: Final = Row(
    "KV cache and memory",
    [
        Panel(
            "KV cache usage",
            "Share of the KV cache in use by running sequences; cached prefixes count as free,"
            " because they are evicted for new ones.",
            gauge("flamingo_kv_cache_usage_ratio"),
            unit="percentunit",
            maximum=1,
            steps=[(None, "green"), (0.8, "orange"), (0.95, "red")],
        ),
        Panel(
            "Preemptions",
            "Sequences that lost their place to older ones and are computed again. Healthy: 0. If"
            " not, lower --max-concurrent-answers or give the engine more memory.",
            [Query(rate("flamingo_preemptions_total", PODS, by="pod"), BY_POD)],
            unit="suffix: /s",
        ),
        Panel(
            "KV cache extents",
            "Contiguous runs of the KV cache, of the chosen pods together. Many free ones while"
            " answers wait is fragmentation.",
            [Query(f"sum by (state) (flamingo_kv_cache_extents{{{PODS}}})", "{{state}}")],
            is_stacked=True,
        ),
        Panel(
            "Cache hits",
            "Share of lookups that hit: windows in states and embeddings, prompt tokens in kv.",
            [
                Query(
                    f"{rate('flamingo_cache_hits_total', PODS, by='cache')}"
                    f" / ({rate('flamingo_cache_queries_total', PODS, by='cache')} > 0)",
                    "{{cache}}",
                )
            ],
            unit="percentunit",
            maximum=1,
        ),
        Panel(
            "Cached audio",
            "Size of the encoder's caches. They grow to their limits and stay there.",
            [
                Query(
                    f"sum by (cache) (flamingo_cache_size_bytes{{{PODS}}})",
                    "{{cache}}",
                )
            ],
            unit="bytes",
        ),
        Panel(
            "Cached clips",
            "Clips with a name in the caches; routers prefer the pod that has a request's clip.",
            gauge("flamingo_clips_cached"),
        ),
        Panel(
            "Process memory",
            "Resident memory of the processes of server pods. Steady growth over hours is a leak:"
            " note the version and restart the pod.",
            [
                Query(
                    f"process_resident_memory_bytes{{{PODS}}} and on (instance) {SERVER}",
                    BY_POD,
                )
            ],
            unit="bytes",
        ),
        Panel(
            "Memory of requests",
            "Memory reserved for the bodies and clips of requests. At --max-request-memory-bytes"
            " new requests get 503.",
            gauge("flamingo_request_memory_bytes"),
            unit="bytes",
        ),
        Panel(
            "GPU memory",
            "Memory of the GPU, by use. reserved near total leaves no room for long clips."
            " Without a GPU there is no data.",
            gauge("flamingo_device_memory_bytes", "{{pod}} {{use}}"),
            unit="bytes",
        ),
    ],
)

LATENCY: Final = Row(
    "Latency in the engine",
    [
        Panel(
            "Time to first token by clip length, p95",
            "From the decoded clip to the first token: without upload, router queue and audio"
            " decoding, which the dashboard of the fleet adds.",
            [
                Query(
                    quantile(0.95, "flamingo_time_to_first_token_seconds", PODS, by="clip_length"),
                    "{{clip_length}}",
                )
            ],
            unit="s",
        ),
        Panel(
            "Inter-token latency",
            "Time between two tokens of an answer: what makes a stream feel slow. It grows with"
            " the batch size and with prefills of long clips.",
            quantiles("flamingo_inter_token_latency_seconds", PODS),
            unit="s",
        ),
        Panel(
            "Queue time",
            "From the decoded clip to the first step. Healthy: near 0. If it grows, batches are"
            " full.",
            quantiles("flamingo_request_queue_time_seconds", PODS),
            unit="s",
        ),
        Panel(
            "Prefill time",
            "From the first step to the first token, with the encoding of the audio.",
            quantiles("flamingo_request_prefill_time_seconds", PODS),
            unit="s",
        ),
        Panel(
            "Generation time",
            "From the first token to the last: grows with the number of tokens.",
            quantiles("flamingo_request_decode_time_seconds", PODS),
            unit="s",
        ),
        Panel(
            "Compute time per second of audio",
            "Real-time factor: 0.01 means that a minute of audio takes 0.6 s of computation. A"
            " rise without a change of traffic is a slower GPU.",
            quantiles("flamingo_real_time_factor", PODS),
        ),
    ],
)

REQUESTS: Final = Row(
    "Audio, tokens and results",
    [
        Panel(
            "Audio decoding",
            "Time to decode a clip, which workers do on the CPU beside the engine. If it grows,"
            " the pod needs more CPUs.",
            quantiles("flamingo_audio_decode_seconds", PODS),
            unit="s",
        ),
        Panel(
            "Encoded windows",
            "Windows of 30 s encoded per second; cached ones are not encoded.",
            [Query(rate("flamingo_engine_windows_total", PODS, by="pod"), BY_POD)],
            unit="suffix: /s",
        ),
        Panel(
            "Audio encoding per request",
            "Mean time that the audio encoder spends on a request.",
            [Query(mean("flamingo_request_encode_time_seconds", PODS, by="pod"), BY_POD)],
            unit="s",
        ),
        Panel(
            "Prompt tokens",
            "Distribution of the prompt tokens per request: 750 for each window of 30 s.",
            heatmap("flamingo_request_prompt_tokens", PODS),
            kind="heatmap",
        ),
        Panel(
            "Generated tokens per request",
            "Distribution of the generated tokens per request.",
            heatmap("flamingo_request_generation_tokens", PODS),
            kind="heatmap",
        ),
        Panel(
            "Finish reasons",
            "Choices by what ended them. Much length means that max_tokens cuts answers off.",
            [Query(rate("flamingo_choices_total", PODS, by="finish_reason"), "{{finish_reason}}")],
            unit="reqps",
            is_stacked=True,
        ),
    ],
)

DASHBOARD: Final = Dashboard(
    uid="flamingo-engine",
    title="Flamingo / Engine",
    description="What the engines in the server pods do: steps, batches, caches and latencies.",
    rows=[OVERVIEW, STEPS, MEMORY, LATENCY, REQUESTS],
    pods="flamingo_build_info",
)
