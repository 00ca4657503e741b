"""Write and check the software bill of materials (SBOM) of an image's Python environment.

    sbom.py write /opt/flamingo/bin/python pod sbom.cdx.json
    sbom.py check sbom.cdx.json

`write` needs cyclonedx-bom beside this interpreter. It adds to its output the licenses in SPDX
and the shared libraries that wheels bundle. `check` exits with status 1 and lists every
component that has no license, one that may not be in an image, no version or no package URL.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import bundled
import licenses

SPEC_VERSION = "1.6"
WRITER = [
    *("-m", "cyclonedx_py", "environment", "--output-reproducible", "--no-validate"),
    *("--output-format", "JSON", "--spec-version", SPEC_VERSION),
]
USAGE = "usage: sbom.py write PYTHON IMAGE FILE | sbom.py check FILE"


def main(arguments: list[str]) -> int:
    """Run one of the two commands."""
    match arguments:
        case ["write", python, image, file]:
            made = complete(_of_environment(python), image, _libraries(python))
            Path(file).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
            return 0
        case ["check", file]:
            found = faults(json.loads(Path(file).read_text(encoding="utf-8")))
            print("\n".join(found), file=sys.stderr, end="\n" if found else "")
            return 1 if found else 0
    print(USAGE, file=sys.stderr)
    return 2


def complete(bom: dict[str, Any], image: str, libraries: list[str]) -> dict[str, Any]:
    """Return the SBOM with a root component, SPDX licenses and bundled libraries."""
    components = [_with_license(one) for one in bom["components"]]
    ours = next(one for one in components if one["name"] == "flamingo-fleet")
    ours.setdefault("purl", f"pkg:pypi/flamingo-fleet@{ours['version']}")
    root = {
        "type": "container",
        "bom-ref": f"image-{image}",
        "name": image,
        "version": ours["version"],
        "licenses": [{"expression": "Apache-2.0"}],
    }
    return {
        **bom,
        "metadata": {**bom["metadata"], "component": root},
        "components": components + [bundled.component(path) for path in libraries],
    }


def faults(bom: dict[str, Any]) -> list[str]:
    """Return what a component lacks, or has and may not have; one line for each."""
    found = [] if bom["components"] else ["no components"]
    for one in bom["components"]:
        label = one.get("bom-ref", one["name"])
        found += [f"{label}: no {key}" for key in ("version", "purl") if not one.get(key)]
        expressions = [each.get("expression") for each in one.get("licenses", [])]
        if not expressions:
            found.append(f"{label}: no license; see release/licenses.py and release/bundled.py")
        found += [
            f"{label}: the license {text} is not in release/licenses.py"
            for text in expressions
            if not text or not licenses.is_allowed(one["name"], text)
        ]
    return found


def _with_license(component: dict[str, Any]) -> dict[str, Any]:
    declared = [_stated(one) for one in component.get("licenses", [])]
    name = re.sub(r"[-_.]+", "-", component["name"]).lower()
    text = licenses.expression(name, declared)
    rest = {key: value for key, value in component.items() if key != "licenses"}
    return (
        {**rest, "licenses": [{"expression": text, "acknowledgement": "declared"}]}
        if text
        else rest
    )


def _stated(entry: dict[str, Any]) -> str:
    """Return the license of an entry, which is an expression, an SPDX id or a text."""
    one = entry.get("license", {})
    return str(entry.get("expression") or one.get("id") or one["name"])


def _of_environment(python: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, *WRITER, python], check=True, stdout=subprocess.PIPE, timeout=120
    )
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def _libraries(python: str) -> list[str]:
    """Return the bundled libraries of an environment, relative to its site-packages."""
    ask = "import json, sys; print(json.dumps([path for path in sys.path if path]))"
    done = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    folders = [Path(path) for path in json.loads(done.stdout)]
    return sorted(
        str(path.relative_to(folder))
        for folder in folders
        for pattern in ("*.libs/*.so*", "torch/lib/libgomp*")
        for path in folder.glob(pattern)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
