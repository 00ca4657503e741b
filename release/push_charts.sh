#!/usr/bin/env bash
# Package the charts, push them to a registry and sign them:
#
#     push_charts.sh REPOSITORY VERSION
#
# A chart of another version is an error.
set -euo pipefail
repository=$1 version=$2
cd "$(dirname "$0")/.."
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT

for chart in flamingo-operator flamingo; do
    helm package "helm/$chart" --destination "$packages"
    digest=$(helm push "$packages/$chart-$version.tgz" "oci://$repository" 2>&1 | tee /dev/stderr | sed -n 's/^Digest: //p')
    cosign sign --yes "$repository/$chart@${digest:?helm reported no digest}"
done
