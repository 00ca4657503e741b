"""What is said of a kind of objects that cannot be used."""

from flamingo_operator.cluster import availability, kinds


def test_a_kind_that_is_not_served_is_to_be_installed_or_not_asked_for():
    assert availability.explain("HTTPRoute", kinds.NOT_SERVED) == (
        "HTTPRoute is needed: the API server does not serve it: install its"
        " CustomResourceDefinition, or remove from the spec what needs it"
    )


def test_a_kind_that_may_not_be_listed_needs_a_permission():
    why = 'services is forbidden: User "x" cannot list resource "services"'
    found = availability.explain("Service", why)
    assert found == f"Service is needed: {why}: grant the operator list and watch on it"
