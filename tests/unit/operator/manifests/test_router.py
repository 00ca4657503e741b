"""The router's objects."""

from fakes.clusters import RELEASE
from fakes.operator_inputs import internal_deployment

from flamingo_operator.manifests import router


def test_the_router_gets_its_admission_limits_and_its_endpointslice_as_flags():
    given = internal_deployment(
        router={"admission": {"maxQueuedAudioSeconds": 90, "maxHoldSeconds": 45}}
    )
    made = router.router_manifests(given, RELEASE)
    (args,) = (
        one["spec"]["template"]["spec"]["containers"][0]["args"]
        for one in made
        if one["kind"] == "Deployment"
    )
    assert "--endpointslice=default/music-servers:http" in args
    assert {"--max-queued-audio-s=90", "--cold-start-hold-s=45"} <= set(args)
