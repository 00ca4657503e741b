"""Which licenses may be in an image, and those of packages that do not state theirs as SPDX.

Pure functions and tables.
"""

ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSD-3-Clause-Clear",
        "BSD-Attribution-HPND-disclaimer",
        "BSL-1.0",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "OLDAP-2.8",
        "PSF-2.0",
        "PostgreSQL",
        "Python-2.0",
        "Zlib",
        # May be linked and passed on as libraries that a user can replace, as a wheel's are.
        "LGPL-2.0-or-later",
        "LGPL-2.1-or-later",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        # The runtime libraries of GCC, whose exception covers what is compiled with it.
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        # CUDA's libraries: redistributable with an application.
        "LicenseRef-NVIDIA-Proprietary",
    }
)
EXCEPTIONS = {"x264": "GPL-2.0-or-later", "x265": "GPL-2.0-or-later"}
"""In av's wheel, beside the FFmpeg that it links to them: docs/supply-chain.md."""

CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "License :: Other/Proprietary License": "LicenseRef-Proprietary",
}
"""SPDX of the classifiers that name one license."""

STATED_ELSEWHERE = {
    "jinja2": "BSD-3-Clause",
    "mpmath": "BSD-3-Clause",
    "numba": "BSD-2-Clause",
    "pebble": "LGPL-3.0-or-later",
    "protobuf": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "soundfile": "BSD-3-Clause",
    "sympy": "BSD-3-Clause",
    "transformers": "Apache-2.0",
}
"""Packages whose metadata state a license, but not which one exactly: from their license files."""


def expression(name: str, declared: list[str]) -> str | None:
    """Return the SPDX expression of a package, or None; `declared` is what its metadata state."""
    if name in STATED_ELSEWHERE:
        return STATED_ELSEWHERE[name]
    if name.startswith(("nvidia-", "cuda-")):
        # Most are under NVIDIA's agreements and say so in words; some are free and say so in SPDX.
        free = (one for one in declared if is_allowed(name, one))
        return next(free, "LicenseRef-NVIDIA-Proprietary")
    for one in declared:
        if one in CLASSIFIERS:
            return CLASSIFIERS[one]
        if "::" not in one:
            return one
    return None


def is_allowed(name: str, expression: str) -> bool:
    """Return whether a component may be in an image; any branch of an OR may be chosen."""
    if EXCEPTIONS.get(name) == expression:
        return True
    return any(
        all(one in ALLOWED for one in branch.split(" AND ")) for branch in expression.split(" OR ")
    )
