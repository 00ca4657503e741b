"""Where the packages of the project are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "flamingo_common": ROOT / "common",
    "flamingo": ROOT / "client",
    "flamingo_router": ROOT / "router",
    "flamingo_pod": ROOT / "inference_pod",
    "flamingo_operator": ROOT / "operator",
    "flamingo_batches": ROOT / "batches",
}
"""Each with the folder that it is in."""
SOURCES = sorted(path for name, root in PACKAGES.items() for path in (root / name).rglob("*.py"))
