"""The pod's image has what PyTorch's kernels need at run time."""

import re

from contract.packages import ROOT

from flamingo_operator.manifests.pod_template import MODEL_FOLDER

DOCKERFILE = (ROOT / "inference_pod" / "Dockerfile").read_text(encoding="utf-8")


def variable(name):
    [value] = re.findall(rf"\b{name}=(\S+)", DOCKERFILE)
    return value


def test_the_locked_build_of_pytorch_brings_triton():
    lock = (ROOT / "inference_pod" / "torch-requirements.txt").read_text(encoding="utf-8")
    assert re.search(r"^triton==", lock, re.MULTILINE)


def test_there_is_a_compiler_with_the_headers_of_libc_for_triton():
    installed = re.findall(
        r"apt-get install .*--no-install-recommends (.+?) \\$", DOCKERFILE, re.MULTILINE
    )
    assert [each.split() for each in installed] == [["gcc", "libc6-dev"]]
    pytorch, compiler = (DOCKERFILE.index(text) for text in ("torch-requirements", "apt-get"))
    assert pytorch < compiler, "whether Triton is there is known once PyTorch is installed"


def test_compiled_kernels_are_kept_on_the_volume_of_the_models():
    # The root file system is read-only, and what is in /tmp is compiled again by every pod.
    for name in ("TRITON_CACHE_DIR", "HF_HOME", "FLAMINGO_CACHE"):
        assert variable(name).startswith(f"{MODEL_FOLDER}/")
