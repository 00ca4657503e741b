"""Shared libraries that wheels bring along, which no Python metadata describe.

`BUNDLED` names the project and the license of each by the beginning of its file name.
"""

import re

_FFMPEG = ("FFmpeg", "LGPL-3.0-or-later")
_KERBEROS = ("krb5", "MIT")
_OPENLDAP = ("OpenLDAP", "OLDAP-2.8")
_OPENSSL = ("OpenSSL", "Apache-2.0")
_GNU_DUAL = "LGPL-3.0-or-later OR GPL-2.0-or-later"

BUNDLED = {
    "libSvtAv1Enc": ("SVT-AV1", "BSD-3-Clause-Clear"),
    "libXau": ("libXau", "MIT"),
    "libasound": ("alsa-lib", "LGPL-2.1-or-later"),
    "libavcodec": _FFMPEG,
    "libavdevice": _FFMPEG,
    "libavfilter": _FFMPEG,
    "libavformat": _FFMPEG,
    "libavutil": _FFMPEG,
    "libcom_err": ("e2fsprogs", "MIT"),
    "libcrypt": ("libxcrypt", "LGPL-2.1-or-later"),
    "libcrypto": _OPENSSL,
    "libdav1d": ("dav1d", "BSD-2-Clause"),
    "libdrm": ("libdrm", "MIT"),
    "libgfortran": ("libgfortran", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "libgmp": ("GMP", _GNU_DUAL),
    "libgnutls": ("GnuTLS", "LGPL-2.1-or-later"),
    "libgomp": ("libgomp", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "libgssapi_krb5": _KERBEROS,
    "libhogweed": ("Nettle", _GNU_DUAL),
    "libk5crypto": _KERBEROS,
    "libkeyutils": ("keyutils", "LGPL-2.0-or-later"),
    "libkrb5": _KERBEROS,
    "libkrb5support": _KERBEROS,
    "liblber": _OPENLDAP,
    "libldap": _OPENLDAP,
    "libmp3lame": ("LAME", "LGPL-2.0-or-later"),
    "libnettle": ("Nettle", _GNU_DUAL),
    "libopencore-amrnb": ("opencore-amr", "Apache-2.0"),
    "libopencore-amrwb": ("opencore-amr", "Apache-2.0"),
    "libopus": ("opus", "BSD-3-Clause"),
    "libpq": ("PostgreSQL", "PostgreSQL"),
    "libquadmath": ("libquadmath", "LGPL-2.1-or-later"),
    "libscipy_openblas": ("OpenBLAS", "BSD-3-Clause"),
    "libscipy_openblas64_": ("OpenBLAS", "BSD-3-Clause"),
    "libsndfile_x86_64": ("libsndfile", "LGPL-2.1-or-later"),
    "libsndfile_arm64": ("libsndfile", "LGPL-2.1-or-later"),
    "libsasl2": ("Cyrus SASL", "BSD-Attribution-HPND-disclaimer"),
    "libsharpyuv": ("libwebp", "BSD-3-Clause"),
    "libssl": _OPENSSL,
    "libswresample": _FFMPEG,
    "libswscale": _FFMPEG,
    "libunistring": ("libunistring", _GNU_DUAL),
    "libvpl": ("libvpl", "MIT"),
    "libvpx": ("libvpx", "BSD-3-Clause"),
    "libwebp": ("libwebp", "BSD-3-Clause"),
    "libwebpmux": ("libwebp", "BSD-3-Clause"),
    "libx264": ("x264", "GPL-2.0-or-later"),
    "libx265": ("x265", "GPL-2.0-or-later"),
    "libxcb": ("libxcb", "MIT"),
    "libxcb-render": ("libxcb", "MIT"),
    "libxcb-shape": ("libxcb", "MIT"),
    "libxcb-shm": ("libxcb", "MIT"),
    "libxcb-xfixes": ("libxcb", "MIT"),
}
_FILE = re.compile(r"(?P<stem>.+?)(?:-[0-9a-f]{8})*\.so(?:\.(?P<version>[\d.]+))?$")
"""`auditwheel` puts a part of the hash, or two, behind the name."""


def component(path: str) -> dict[str, object]:
    """Return the CycloneDX component of a library, whose path is relative to site-packages.

    A library that `BUNDLED` does not have gets no license, which the check reports.
    """
    file = path.rpartition("/")[2]
    found = _FILE.match(file)
    stem, version = (found["stem"], found["version"]) if found else (file, None)
    project, license_ = BUNDLED.get(stem.rstrip("-"), (stem, None))
    made: dict[str, object] = {
        "type": "library",
        "bom-ref": path,
        "name": project,
        # The version of the library's interface; the project's own is in no file of the wheel.
        "version": f"so.{version or 0}",
        "purl": f"pkg:generic/{project.lower()}@so.{version or 0}?file_name={file}",
        "properties": [{"name": "flamingo:bundled-in", "value": path.partition("/")[0]}],
    }
    if license_:
        made["licenses"] = [{"expression": license_}]
    return made
