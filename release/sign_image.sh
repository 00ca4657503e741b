#!/usr/bin/env bash
# Sign an image, and attest the SBOM of each of its platforms:
#
#     sign_image.sh NAME DIGEST PLATFORM[,PLATFORM…] FOLDER
#
# DIGEST is that of the index. The SBOMs are checked first and written to FOLDER.
set -euo pipefail
name=$1 digest=$2 platforms=$3 folder=$4
here=$(dirname "$0")

DIGEST_OF='import json, sys
for one in json.load(sys.stdin)["manifests"]:
    if one["platform"]["architecture"] == sys.argv[1]:
        print(one["digest"])
        sys.exit()
sys.exit(f"the index has no manifest for {sys.argv[1]}")'

mkdir -p "$folder"
index=$(docker buildx imagetools inspect "$name@$digest" --raw)
for platform in ${platforms//,/ }; do
    architecture=${platform#linux/}
    sbom=$folder/${name##*/}-$architecture.cdx.json
    docker run --rm --platform "$platform" --entrypoint cat "$name@$digest" /opt/flamingo/sbom.cdx.json > "$sbom"
    python3 "$here/sbom.py" check "$sbom"
    of_platform=$(python3 -c "$DIGEST_OF" "$architecture" <<< "$index")
    cosign attest --yes --type cyclonedx --predicate "$sbom" "$name@$of_platform"
done
# With those of the platforms, because a node pulls one of them.
cosign sign --yes --recursive "$name@$digest"
