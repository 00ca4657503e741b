#!/bin/sh
# Install everything into a fresh environment and write down what came.
set -eu
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch"
pip="$scratch/bin/python -m pip --quiet --quiet --disable-pip-version-check"
$pip install "${TORCH:-torch}"
$pip install --editable ".[pod,batch,router,operator,batches,measure,otel,dev]"
{
    echo "# What works together; written by \`make constraints\`, checked by tests/contract."
    echo "# torch is not here: its build is the machine's choice (see the Makefile)."
    $pip freeze --exclude-editable | grep -vE '^(torch|nvidia-.*|triton|cuda-.*)=='
} > constraints.txt
