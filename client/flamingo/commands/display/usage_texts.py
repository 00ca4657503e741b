"""Usage errors in plain words: what Typer reports is what pydantic says of Python's types.

Pure.
"""

import difflib
import re

REWORDED = {
    "Value error, ": "",
    "Input should be ": "must be ",
    "a valid integer, unable to parse string as an integer": "a whole number",
    "a valid integer": "a whole number",
    "a valid number, unable to parse string as a number": "a number",
    "a valid number": "a number",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}
_CHOICE = re.compile(r"'(?P<given>.*)' is not one of (?P<choices>'.*')\.?$", re.DOTALL)


def plain(message: str) -> str:
    """Return an error of one argument or option as readers would say it, with the nearest value."""
    for words, plainly in REWORDED.items():
        message = message.replace(words, plainly)
    if found := _CHOICE.search(message):
        close = difflib.get_close_matches(found["given"], re.findall(r"'(.*?)'", found["choices"]))
        return message + (f" Did you mean '{close[0]}'?" if close else "")
    return message
