"""Whether a program still prints what a page shows: the same lines, but for what differs each time.

Ages, times, hashes, addresses and ids differ; names, columns, reasons and messages do not. In a
page `…` is anything: a whole line of it is any number of lines, and inside of a line it is any
text. The order of lines is not compared: rows of a table are sorted by names that have hashes.
"""

import re
from collections.abc import Iterable

RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
"""What Kubernetes makes the suffixes of names from."""
DIFFERS = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
    (r"\b[0-9a-f]{32}\b", "<id>"),
    (rf"\b[0-9a-f]{{10}}-{RANDOM}{{5}}\b", "<hash>"),
    (r"\b[0-9a-f]{10}(?:-\d+)?\b", "<hash>"),
    (rf"-{RANDOM}{{6,10}}-{RANDOM}{{5}}\b", "-<hash>"),
    (r"\b\d+\.\d+\.\d+\.\d+\b", "<address>"),
    (r"\b(?:\d+[dhm])*\d+[dhms]\b", "<age>"),
    (r"\b(?:p50|p95) \d+ s\b", "<seconds>"),
    # The phases of a cold start that took a second or more.
    (r"\b(\d+ pods) \([^()]+ \d+ s\)", r"\1"),
    (r"\bsimulated-\d+\b", "<node>"),
    (r"\b\d+/\d+ nodes\b", "<n> nodes"),
    (r"\b\d+ node\(s\)", "<n> node(s)"),
    (r"\b\d{10}\b", "<time>"),
    (r"\s+", " "),
]
ELLIPSIS = "…"


def differences(expected: Iterable[str], printed: str) -> list[str]:
    """Return what the page shows and the program does not print, and the other way round."""
    wanted = [line for line in map(normalised, expected) if line]
    left = [line for line in map(normalised, printed.splitlines()) if line]
    missing = []
    for line in wanted:
        if line == ELLIPSIS:
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split(ELLIPSIS))))
        found = next((one for one in left if pattern.fullmatch(one)), None)
        if found is None:
            missing.append(f"only in the page: {line}")
        else:
            left.remove(found)
    if ELLIPSIS in wanted:
        left = []
    return [*missing, *(f"only printed: {line}" for line in left)]


def normalised(line: str) -> str:
    """Return a line without what no two runs share."""
    for pattern, name in DIFFERS:
        line = re.sub(pattern, name, line)
    return line.strip()
