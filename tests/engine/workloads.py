"""Random requests of all kinds that come and go, and what each client of an engine gets."""

import random

from flamingo_common.wire.priority import Priority
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.structured_output.constraint import ReasoningRules
from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec

KINDS = [
    {},
    {"temperature": 1.0},
    {"temperature": 0.9, "top_p": 0.8, "num_logprobs": 2},
    {"temperature": 1.1, "top_k": 7, "min_p": 0.01},
    {"stop_token_ids": frozenset(range(60, 110))},
    {"temperature": 1.0, "stop_token_ids": frozenset(range(50, 130)), "min_tokens": 4},
    {"repetition_penalty": 1.3},
    {"temperature": 1.0, "frequency_penalty": 0.7},
    {"logit_bias": {70: 4.0}, "ignore_eos": True},
]


class Workload:
    """Requests that come and are cancelled at random steps, the same for each seed."""

    def __init__(self, seed, compiler=None, *, has_low=False, tables=()):
        """`tables` are those of reasoning, of which a request has any."""
        rng, thoughts = random.Random(seed), random.Random(seed)
        priorities = random.Random(seed)
        self.requests = []
        for number in range(rng.randint(2, 7)):
            ids = [rng.randrange(10, 200) for _ in range(rng.choice([1, 5, 40, 90]))]
            params = SamplingParams(max_tokens=rng.randint(1, 30), **rng.choice(KINDS))
            is_constrained = compiler is not None and rng.random() < 0.2
            grammar = compiler.compile(GrammarSpec("json_object")) if is_constrained else None
            is_low = has_low and priorities.random() < 0.5
            stats = RequestStats(priority=Priority.LOW if is_low else Priority.NORMAL)
            rules = tables and ReasoningRules(
                thoughts.choice(tables), thoughts.choice([None, 0, 1, 3, 9])
            )
            prompt = Prompt(ids, grammar=grammar, reasoning=rules or None, stats=stats)
            # With a number of its own outputs, since a step means something else in each engine.
            cancel_after = rng.randint(1, 20) if rng.random() < 0.3 else None
            self.requests.append((rng.randint(0, 25), number, prompt, params, cancel_after))

    def outputs(self, core):
        """Return each request's outputs, up to where it was cancelled."""
        outputs, waiting, step = {}, sorted(self.requests, key=lambda one: one[0]), 0
        while waiting or core.has_work():
            while waiting and waiting[0][0] <= step:
                _, number, *request = waiting.pop(0)
                outputs[number] = Client(core, number, *request)
            core.step()
            for client in outputs.values():
                client.cancel_if_due()
            step += 1
        return {number: streamed(client.outputs) for number, client in outputs.items()}


def streamed(outputs):
    """Return what a client gets, without probabilities: their last digits depend on the batch."""
    return [(one.token_id, one.finish_reason, one.stop_token_id) for one in outputs]


class Client:
    def __init__(self, core, seed, prompt, params, cancel_after):
        self.core, self.outputs, self.cancel_after = core, [], cancel_after
        self.sequence = core.submit(prompt, params, seed, self.outputs.append)

    def cancel_if_due(self):
        if self.cancel_after is not None and len(self.outputs) >= self.cancel_after:
            self.core.cancel(self.sequence)
