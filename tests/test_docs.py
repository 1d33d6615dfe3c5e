"""The documentation builds without a warning, its links lead somewhere, and it fetches nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from builders import ROOT

PAGES = [
    *("README.md", "CHANGELOG.md", "docker/README.md", "tools/benchmark/README.md", "tests/golden/README.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("docs/*.md"), *ROOT.glob("configs/*/README.md"))),
]
FETCHING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; every warning ends a strict build."""
    for module in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(module, reason="the documentation's builder is missing: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("documentation") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and not re.search("^WARNING", done.stderr, re.MULTILINE), done.stderr[-4000:]
    return folder


class Html(HTMLParser):
    """Anchors, links and what a browser would fetch."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.fetched = {""}, [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs.get("id"), attrs.get("name") if tag == "a" else None}
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if attrs.get(FETCHING.get(tag)):
            self.fetched.append(attrs[FETCHING[tag]])


def is_elsewhere(link):
    return re.match(r"[a-z]+:|//", link) is not None


def broken_links(site):
    """Links and files of a site's pages that lead nowhere; the error page's are relative to a server."""
    pages = {path.resolve(): Html(path) for path in site.rglob("*.html") if path.name != "404.html"}
    broken = []
    for path, page in pages.items():
        for link in filter(lambda link: not is_elsewhere(link), page.links + page.fetched):
            name, _, anchor = unquote(link).partition("#")
            target = (path.parent / name.split("?")[0]).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (target in pages and anchor not in pages[target].anchors):
                broken.append(f"{path.name}: {link}")
    return broken


def test_every_link_of_the_site_leads_somewhere(site):
    assert len(list(site.glob("*.html"))) >= len(list(ROOT.glob("docs/*.md")))
    assert not broken_links(site)


def test_the_site_fetches_nothing_from_other_hosts(site):
    for path in site.rglob("*.html"):
        assert not [link for link in Html(path).fetched if is_elsewhere(link) and not link.startswith("data:")], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", path.read_text()), path


def test_docstrings_are_on_the_api_page_and_no_markup_is_left(site):
    html = (site / "api.html").read_text()
    assert "Channel-wise cross-attention from labeled features to a semantic memory" in html
    text = re.sub(r"<[^>]+>", "", html)
    assert not re.search(r":(class|meth|func|mod|data|attr):", text)


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="#top">1</a><a href="#gone">2</a><a href="b.html">3</a><a href="a.html">4</a>'
        '<a href="https://example.org">5</a><img src="c.png">'
    )
    assert broken_links(tmp_path) == ["a.html: #gone", "a.html: b.html", "a.html: c.png"]


def headings(path):
    """Anchors that GitHub gives a page's headings, and so does mkdocs."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_between_files_lead_somewhere(page):
    """For readers of the files themselves, who may begin outside ``docs``."""
    path = ROOT / page
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if is_elsewhere(link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in headings(target), f"{page}: {link}"


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {path.name for path in Path(ROOT / "docs").glob("*.md")}
    assert listed == pages - {"decisions.md"}  # for developers: linked, not in the menu
