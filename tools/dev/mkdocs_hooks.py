"""What the documentation's build does besides (``mkdocs.yml``): Sphinx roles in docstrings become plain code."""

from __future__ import annotations

import re
from typing import Any

# Editors and IDEs read :class:`Name`; mkdocstrings takes docstrings for Markdown, where the role would be text.
_ROLE = re.compile(r":(?:class|meth|func|attr|mod|data|exc):(<code>)[~.]?")


def on_page_content(html: str, **_: Any) -> str:
    """Drop the roles from a page's HTML; mkdocs calls it by this name."""
    return _ROLE.sub(r"\1", html)
