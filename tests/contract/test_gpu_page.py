"""`docs/gpu.md` has the sizing table; running this file writes it."""

import re
from pathlib import Path

from flamingo_pod.doctor import sizing_table

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"
NOTE = "<!-- The table is written by `python tests/contract/test_gpu_page.py`. -->\n\n"
TABLE = re.compile(re.escape(NOTE) + r"(?:\|.*\n)*\n?")


def with_table(text):
    return TABLE.sub(lambda _: f"{NOTE}{sizing_table.table()}\n", text, count=1)


def test_the_table_is_what_the_function_that_sizes_the_pool_computes():
    text = PAGE.read_text(encoding="utf-8")
    assert NOTE in text
    assert text == with_table(text), "run this file"


def test_every_size_of_card_is_in_the_table():
    for card_gb in (12, 16, 24, 40, 48, 80, 141):
        assert f"| {card_gb} GB | bfloat16 |" in sizing_table.table()


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
