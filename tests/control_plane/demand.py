"""The demand of a fleet, as a scripted router in front of simulated server pods reports it."""

import contextlib
import json
import random
from collections.abc import Iterator

from control_plane.operators import QUICK, Site, wait_until
from fakes.operator_inputs import load_report
from fakes.scripted_routers import FakeRouter

ONE_ROUTER = {"replicas": 1}


@contextlib.contextmanager
def router(place: Site, spec) -> Iterator[FakeRouter]:
    """Make a fleet whose only router is a scripted one without requests."""
    place.create({"router": ONE_ROUTER, "rollout": QUICK, **spec})
    rng = random.SystemRandom()
    fake = FakeRouter(f"127.{rng.randint(1, 254)}.{rng.randint(0, 254)}.{rng.randint(1, 254)}")
    fake.report_demand(0.0)
    with fake.running():
        name = wait_until(lambda: ready_router(place), "a router is ready")
        patch = {"status": {"podIP": fake.address, "podIPs": [{"ip": fake.address}]}}
        args = ("pod", name, "--subresource=status", "--type=merge", f"--patch={json.dumps(patch)}")
        place.kubectl("patch", *args)
        wait_until(lambda: fake.num_requests > 1, "the router is polled")
        yield fake


def ready_router(place: Site) -> str | None:
    """Return the name of a router pod that is ready and has an address."""
    found = place.kubectl("get", "pods", "-l", "flamingo.dev/component=router", "-o", "json")
    for pod in json.loads(found)["items"]:
        types = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
        if types.get("Ready") == "True" and pod["status"].get("podIP"):
            return pod["metadata"]["name"]
    return None


def report_request(fake: FakeRouter, place: Site) -> None:
    """Let a server pod have processed 20 s of audio a second, the operator's prior included."""
    (pod, *_) = wait_until(
        lambda: [one for one in place.pods() if one["status"].get("podIP")], "a server pod runs"
    )
    report = load_report(1)
    report["timings"][0] |= {"num_windows": 20, "compute_s": 50.0}
    address = f"http://{pod['status']['podIP']}:8000"
    fake.body = {**(fake.body or {}), "endpoints": [{"address": address, "load": report}]}
