#!/bin/sh
# Write what the images are installed from: every package with its version, as in constraints.txt,
# and the hashes of its files. `make constraints` runs it.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "${TORCH:-torch==2.13.0}" > "$scratch/torch.in"
printf 'hatchling\ncyclonedx-bom\n' > "$scratch/build.in"

lock() { # lock OUTPUT ARGUMENT...: what uv resolves for the images' Python and platform
    output=$1
    shift
    echo "# Written by \`make constraints\`; installed into an image by its Dockerfile." > "$output"
    "${UV:-.venv/bin/uv}" pip compile --quiet --generate-hashes --no-annotate --no-header \
        --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
        --constraint constraints.txt --constraint "$scratch/torch.in" "$@" >> "$output"
}

# The pod's PyTorch has a lock of its own, because its build may be chosen.
without_torch() {
    awk '/^[a-zA-Z]/ { keep = $1 !~ /^(torch|triton|setuptools|nvidia-.*|cuda-.*)==/ } /^#/ || keep' "$1" > "$scratch/kept"
    cp "$scratch/kept" "$1"
}

lock release/build-requirements.txt "$scratch/build.in"
lock router/requirements.txt pyproject.toml --extra router --extra otel
lock operator/requirements.txt pyproject.toml --extra operator
lock batches/requirements.txt pyproject.toml --extra batches --extra otel
lock inference_pod/requirements.txt pyproject.toml --extra pod --extra measure --extra otel
without_torch inference_pod/requirements.txt
lock inference_pod/torch-requirements.txt "$scratch/torch.in"
