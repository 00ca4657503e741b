"""A small run of the flood: the router's balancer is fair to a tenant that asks now and then."""

from bench.flood_sim import CALM, FLOOD, of, serve, traffic

UNTIL_S, SINCE_S = 90.0, 30.0


def test_a_flood_of_one_tenant_neither_refuses_nor_much_delays_another():
    calm, flood = (lambda: traffic(CALM, 0.5, UNTIL_S, 1)), traffic(FLOOD, 15.0, UNTIL_S, 2)
    alone = of(serve(calm()), CALM, SINCE_S)
    world = serve([*calm(), *flood])
    beside, flooding = of(world, CALM, SINCE_S), of(world, FLOOD, SINCE_S)

    assert beside.num_refused == 0 < flooding.num_refused
    assert beside.done_p50_s < 2 * alone.done_p50_s
    assert flooding.num - flooding.num_refused > 6 * (UNTIL_S - SINCE_S)  # the pods stay busy
