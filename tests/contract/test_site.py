"""The site of the documentation, which Zensical builds: every link and anchor leads somewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import site_pages

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^( *)(`{3,}).*?^\1\2 *$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +.+$", re.MULTILINE)


class Page(HTMLParser):
    """What a page of the site links to, loads, and offers as targets."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.ids, self.num_headings = [], [], set(), 0
        self._in_article = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids |= {values["id"]} if values.get("id") else set()
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in {"script", "img"} and values.get("src"):
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") in {"stylesheet", "preconnect"}:
            self.loaded.append(values["href"])
        if tag == "article":
            self._in_article = True
        self.num_headings += self._in_article and bool(re.fullmatch("h[1-6]", tag))

    def handle_endtag(self, tag):
        if tag == "article":
            self._in_article = False


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, str(ROOT / "release" / "build_site.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_page_and_every_heading_is_on_the_site(site, pages):
    for source in sorted((ROOT / "docs").rglob("*.md")):
        name = source.relative_to(ROOT / "docs").with_suffix("")
        target = site / ("" if str(name) == "README" else name) / "index.html"
        assert target in pages, source
        text = FENCED.sub("", source.read_text(encoding="utf-8"))
        assert pages[target].num_headings == len(HEADING.findall(text)), source


def test_every_link_and_anchor_leads_somewhere(site, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            place, anchor = urldefrag(link)
            target = (path.parent / unquote(place)).resolve() if place else path
            target = target / "index.html" if target.is_dir() else target
            ids = pages[target].ids if target in pages else set()
            if not target.is_file() or (anchor and unquote(anchor) not in ids):
                broken.append((str(path.relative_to(site)), link))
    assert broken == []


def test_a_page_loads_nothing_from_another_host(pages):
    loaded = [one for page in pages.values() for one in page.loaded if urlsplit(one).netloc]
    assert loaded == []


def test_a_link_out_of_the_documentation_leads_to_the_repository():
    text = "See [a](../README.md#x), [b](decisions/), [c](api.md#y) and [d](https://host/x).\n"
    assert site_pages.page(text, "docs/z.md") == (
        f"See [a]({site_pages.REPOSITORY}/blob/main/README.md#x),"
        f" [b]({site_pages.REPOSITORY}/tree/main/docs/decisions), [c](api.md#y) and"
        " [d](https://host/x).\n"
    )


def test_the_words_after_a_fence_become_the_title_of_its_file():
    text = "```yaml music.yaml refused\n[a](../b)\n```\n```sh refused\nls\n```\n# End\n"
    assert site_pages.page(text, "docs/z.md") == (
        '```yaml title="music.yaml"\n[a](../b)\n```\n```sh\nls\n```\n# End\n'
    )
