"""The documentation builds without a warning, its links lead somewhere, and it fetches nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders import ROOT

PAGES = [
    *(
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docker/README.md",
        "tools/benchmark/README.md",
        "tests/golden/README.md",
    ),
    *sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("docs/*.md"), *ROOT.glob("configs/*/README.md"))),
]


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


def is_elsewhere(link):
    return re.match(r"[a-z]+:|//", link) is not None


@pytest.mark.slow
def test_the_site_fetches_nothing_from_other_hosts(site):
    """Links are checked by the strict build."""
    assert len(list(site.glob("*.html"))) >= len(list(ROOT.glob("docs/*.md")))
    for path in site.rglob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe|source|video)\b[^>]*>", path.read_text())
        fetched = [link for tag in tags for link in re.findall(r"(?:src|href)=[\"']?([^\"'\s>]+)", tag)]
        assert not [link for link in fetched if is_elsewhere(link) and not link.startswith("data:")], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", path.read_text()), path


@pytest.mark.slow
def test_docstrings_are_on_the_api_page_and_no_markup_is_left(site):
    html = (site / "api.html").read_text()
    assert "Channel-wise cross-attention from labeled features to a semantic memory" in html
    text = re.sub(r"<[^>]+>", "", html)
    assert not re.search(r":(class|meth|func|mod|data|attr):", text)


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
