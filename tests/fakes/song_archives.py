"""Tar files of songs, as WebDataset has them, and with what an attacker puts in them."""

import io
import json
import tarfile


def tar(*members):
    """Return a tar file; a member is (name, contents) or a TarInfo without contents."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def sample(key, **fields):
    """Return the members of one sample: a clip that begins with its key, and its JSON."""
    return (f"{key}.flac", b"fLaC " + key.encode()), (f"{key}.json", json.dumps(fields).encode())


def link(name, to, kind=tarfile.SYMTYPE):
    """Return a member that is a link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info
