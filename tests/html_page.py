"""A page as a browser would take it: what it fetches, what it says, and whether it is well-formed."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads HTML and keeps text, tags and what is wrong."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.wrong, self.tags, self.texts, self.tables = [], [], [], [], []
        self.feed(html)
        self.close()
        self.wrong += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> where another tag is open")

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def check(self):
        """Well-formed, alone in the world, and every picture in words."""
        assert not self.wrong
        assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in self.tags}
        for tag, attrs in self.tags:
            for name in ("src", "href", "data", "srcset", "action"):
                assert attrs.get(name, "#").startswith(("#", "data:")), (tag, attrs[name][:80])
            if tag == "img" or attrs.get("role") == "img":
                assert attrs.get("alt") or attrs.get("aria-label"), tag
        style = " ".join(self.texts) + " ".join(attrs.get("style", "") for _, attrs in self.tags)
        assert "url(" not in style and "@import" not in style
        identities = [attrs["id"] for _, attrs in self.tags if "id" in attrs]
        assert len(identities) == len(set(identities))
        assert {attrs["href"][1:] for attrs in self.all("a")} <= set(identities)
