"""The operator's own namespace."""

from flamingo_operator.cluster.service_account import DEFAULT, default_namespace


def test_the_namespace_of_the_pod_is_the_default(tmp_path):
    (tmp_path / "namespace").write_text("audio\n")
    assert default_namespace(is_in_cluster=True, file=tmp_path / "namespace") == "audio"
    assert default_namespace(is_in_cluster=False, file=tmp_path / "namespace") == DEFAULT
    assert default_namespace(is_in_cluster=True, file=tmp_path / "nosuch") == DEFAULT
