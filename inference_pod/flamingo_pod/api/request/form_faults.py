"""Says what is wrong with a multipart form, for the usual mistakes of its clients.

Pure.
"""

import re

FILE_EXAMPLE = "curl -F file=@song.mp3"
NO_BOUNDARY = (
    "the Content-Type multipart/form-data has no boundary; let the client set the header instead"
    " of setting it by hand"
)
NOT_A_FORM = (
    "the body is not valid multipart/form-data: its parts have to be separated by the boundary that"
    " the Content-Type names, and the last one has to be complete"
)
NO_NAME = (
    "the form has a part without a valid name (letters, digits, _ . and -); send fields that are"
    " not text as JSON in the part 'request'"
)
TWO_FILES = "the form has more than one file; send one clip per request"
MAX_NAME_CHARS = 64
MAX_TEXT_BYTES = 4096
"""A file of text is searched only up to here."""
TEXT_TYPES = ("text/", "application/json", "application/x-www-form-urlencoded")
TEXT_ENDINGS = (".txt", ".json", ".md")
NAMES_OF_REQUEST = frozenset(
    {"json", "data", "payload", "body", "params", "options", "fields", "payload_json"}
)
"""What other servers call the part with the fields as JSON."""
_PATH = re.compile(r"\s*\S[^\r\n]{0,250}\.[A-Za-z0-9]{2,5}\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def is_misnamed_file(name: str | None, file_name: str | None, content_type: str) -> bool:
    """Return whether a part that is not called `file` is the audio.

    A field can be sent from a file, too (`-F prompt=@prompt.txt`), or as a Blob, which has a
    file name: those are text by their type or name.
    """
    if file_name is None or name == "request":
        return False
    is_text = content_type.startswith(TEXT_TYPES) or file_name.lower().endswith(TEXT_ENDINGS)
    return not is_text


def misnamed_file(name: str | None) -> str:
    """Return the message for a file whose part is not called `file`."""
    found = "the part has no name" if not name else f"not {shortened(name)!r}"
    return f"the file's form field must be named 'file'{';' if not name else ','} {found}"


def misnamed_request(name: str) -> str:
    """Return the message for a JSON object in a part that is not called `request`."""
    return f"the form field with fields as JSON must be named 'request', not {shortened(name)!r}"


def shortened(name: str) -> str:
    """Return a name that may be long."""
    return name if len(name) <= MAX_NAME_CHARS else f"{name[:MAX_NAME_CHARS]}…"


def text_as_file(head: bytes, size: int, *, has_file_name: bool) -> str | None:
    """Return the message for a part `file` that has text; None if it may be audio.

    `head` are its first bytes. With a file name only the path of a file is such a mistake, as
    of `files={"file": "song.mp3"}`: other text is a file in an unsupported format.
    """
    text = _as_text(head)
    if text is None or not size:
        return None
    if text.lstrip().startswith("data:"):
        return "the form field 'file' has a data: URL, not a file; send it in JSON instead"
    if has_file_name and not (size <= len(head) and _PATH.fullmatch(text)):
        return None
    found = "the path of a file" if _PATH.fullmatch(text) else "text"
    return (
        f"the form field 'file' has {found}, not a file; send the file's contents"
        f" ({FILE_EXAMPLE}, with the @)"
    )


def _as_text(head: bytes) -> str | None:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not only the last character is cut
            return None
        text = head[: error.start].decode()
    return None if _CONTROL.search(text) else text


def missing_file(name: str) -> str:
    """Return the message for a form without a file, whose audio may also be in field `name`."""
    return (
        f"the form has no file; send it as the part 'file' ({FILE_EXAMPLE}), or {name} as JSON in"
        " the part 'request'"
    )
