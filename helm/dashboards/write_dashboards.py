"""Write the Grafana dashboards into the operator's chart: `make charts`."""

import json
from pathlib import Path

import dashboard_engine
import dashboard_fleet
import dashboard_operator

FOLDER = Path(__file__).parents[1] / "flamingo-operator" / "dashboards"
DASHBOARDS = {
    "fleet": dashboard_fleet.DASHBOARD,
    "engine": dashboard_engine.DASHBOARD,
    "operator": dashboard_operator.DASHBOARD,
}


def files() -> dict[Path, str]:
    """Return the text of each file by its path."""
    return {
        FOLDER / f"{name}.json": json.dumps(dashboard.as_json(), indent=1) + "\n"
        for name, dashboard in DASHBOARDS.items()
    }


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
