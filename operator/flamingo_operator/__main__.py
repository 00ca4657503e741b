"""Says that the operator's process is not part of this release."""

import sys

EXIT_ABSENT = 2


def main() -> int:
    """Say so; return the exit status."""
    print(  # noqa: T201 - said to a person
        "flamingo operator: the operator's process is not part of this release; it has the"
        " FlamingoDeployment type only (crds/flamingodeployments.yaml)",
        file=sys.stderr,
    )
    return EXIT_ABSENT


if __name__ == "__main__":
    raise SystemExit(main())
