"""What axe-core finds on a page: https://github.com/dequelabs/axe-core."""

from axe_playwright_python.sync_playwright import Axe

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def findings(page) -> list[str]:
    """Return a line for each element that violates a rule."""
    results = Axe().run(page, options={"runOnly": TAGS}).response
    assert results["passes"], "no rule applies to the page"
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in results["violations"]
        for node in rule["nodes"]
    ]
