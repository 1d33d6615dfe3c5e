"""A page that needs nothing else: style, pictures as data, sections. No script, no request (the policy forbids any)."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

WIDEST = 1100  # pixels of an embedded picture
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2329; --soft: #5a6570; --line: #d9dee3; --card: #f5f7f9;
  --heat: #0b4a94; --on-lo: #000; --on-mid: #000; --on-hi: #fff;
  --warn: #8a3b00; --warn-back: #fff3e6;
  --c0: #0b62a8; --c1: #c24e00; --c2: #00795c; --c3: #a3367b; --c4: #6b6b00; --c5: #555; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181c; --ink: #e6e9ec; --soft: #a3adb7; --line: #343c44;
  --card: #1d2329; --heat: #9ecbff; --on-lo: #fff; --on-mid: #000; --on-hi: #000;
  --warn: #ffc48a; --warn-back: #33240f;
  --c0: #6fb7f2; --c1: #ff9d57; --c2: #4fd1a5; --c3: #ee8fc6; --c4: #d6d64f; --c5: #b9c0c7; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem 1.2rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .6rem 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; border-top: 1px solid var(--line); padding-top: 1rem; }
p { margin: .4rem 0; max-width: 48rem; } .soft, .charts p { color: var(--soft); font-size: .9rem; }
a { color: var(--c0); } :focus-visible { outline: 3px solid var(--c0); outline-offset: 2px; }
nav ul, .legend, .cards { list-style: none; display: flex; flex-wrap: wrap; padding: 0; margin: .5rem 0; }
nav ul { gap: .2rem 1.1rem; } nav a { display: inline-block; padding: .3rem 0; }
.cards { gap: .7rem; }
.cards li { background: var(--card); border-radius: .5rem; padding: .5rem .9rem; flex: 1 1 8rem; }
.cards b { display: block; font-size: 1.35rem; } .cards span { color: var(--soft); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.4rem 2rem; }
figure { margin: 0; break-inside: avoid; } figcaption { font-weight: 600; }
.chart { width: 100%; height: auto; display: block; } .chart text { font-size: 12.5px; fill: var(--soft); }
.grid { stroke: var(--line); } .mark { stroke: var(--soft); stroke-dasharray: 2 4; }
.legend { gap: .1rem 1.2rem; font-size: .88rem; } .swatch { width: 26px; height: 8px; }
polyline { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; } circle { fill: currentColor; }
.s0 { color: var(--c0); } .s1 { color: var(--c1); } .s1 polyline { stroke-dasharray: 7 3; } .s2 { color: var(--c2); }
.s2 polyline { stroke-dasharray: 2 3; } .s3 { color: var(--c3); } .s3 polyline { stroke-dasharray: 9 3 2 3; }
.s4 { color: var(--c4); } .s5 { color: var(--c5); } .s5 polyline { stroke-dasharray: 4 4; }
.scroll { overflow-x: auto; margin: .6rem 0; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .55rem; text-align: right; white-space: nowrap; } th { font-weight: 600; }
tbody th, thead th:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
.heat td { font-variant-numeric: tabular-nums; color: var(--on-lo);
  background: color-mix(in srgb, var(--heat) var(--v, 0%), var(--paper));
  border: 1px solid var(--paper); } .heat .mid { color: var(--on-mid); } .heat .hi { color: var(--on-hi); }
.samples td, .samples th { padding: .25rem; text-align: center; vertical-align: top; }
.samples tbody th { position: static; font-weight: 400; font-size: .8rem; min-width: 6.4rem; max-width: 9rem;
  white-space: normal; overflow-wrap: anywhere; }
.samples img { width: 7.8rem; min-width: 6.5rem; height: auto; display: block; border-radius: 3px; }
.wide img { max-width: 100%; height: auto; border-radius: 4px; background: #fff; } .wide figure { margin: 1rem 0; }
.key { display: inline-block; width: .9em; height: .9em; border: 1px solid var(--soft); vertical-align: -.08em; }
.missing { color: var(--soft); font-style: italic; }
.warning { background: var(--warn-back); border-left: 4px solid var(--warn); padding: .5rem .8rem; margin: .5rem 0;
  overflow-wrap: anywhere; max-width: 60rem; } .warning time { color: var(--warn); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 36rem) { dl { display: block; } dd { margin-bottom: .5rem; }
  body { padding: .6rem .8rem 3rem; } h1 { font-size: 1.3rem; } .chart text { font-size: 15px; }
  .samples img { width: 6.5rem; } .wide img { max-width: none; width: 42rem; } }
pre { overflow-x: auto; background: var(--card); padding: .8rem; font-size: .8rem; max-height: 40rem; }
summary { cursor: pointer; padding: .3rem 0; }
@media print { nav { display: none; } .scroll { overflow: visible; } body { max-width: none; font-size: 12px; }
  .heat td, .key, .warning { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def section(identity: str, title: str, body: str, missing: str = "") -> str:
    """A section; without a body, the sentence that says why there is none.

    Args:
        identity: Anchor.
        title: Heading.
        body: HTML, or nothing.
        missing: Why there is nothing.
    """
    return f'<section id="{identity}"><h2>{escape(title)}</h2>{body or paragraph(missing, "missing")}</section>'


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text, with a style of its own if ``kind`` is given."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table_of_facts(facts: dict[str, str]) -> str:
    """Names and values, those without a value left out."""
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>' for k, v in facts.items() if v)}</dl>"


def colour_key(classes: Sequence[str], palette: Sequence[Sequence[int]]) -> str:
    """Which colour is which class."""
    entries = (
        f'<li><span class="key" style="background:rgb({",".join(str(int(part)) for part in colour)})"></span> '
        f"{escape(name)}</li>"
        for name, colour in zip(classes, palette, strict=False)
    )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def picture(path: Path, alt: str, photo: bool) -> str:
    """A picture file as part of the page.

    Args:
        path: PNG.
        alt: What is to be seen.
        photo: Whether it may lose a little (JPEG).

    Returns:
        HTML ``<img>``; a sentence instead of a picture that cannot be read, perhaps because it is just being written.
    """
    try:
        with Image.open(path) as image:
            image = image.convert("RGB")
    except (OSError, SyntaxError):  # the latter is Pillow's for some broken PNGs
        return f"<span>{escape(path.name)} cannot be read</span>"
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)))
    data, kind = io.BytesIO(), "jpeg" if photo else "png"
    if photo:
        image.save(data, "JPEG", quality=85)
    else:
        image.quantize(256, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
    source = f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
    return f'<img src="{source}" alt="{escape(alt)}" width="{image.width}" height="{image.height}" loading="lazy">'


def page(title: str, header: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """The whole document.

    Args:
        title: Of the page.
        header: HTML above the sections.
        sections: Anchor, heading and HTML of each.
    """
    links = "".join(f'<li><a href="#{identity}">{escape(name)}</a></li>' for identity, name, _ in sections)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><header>{header}"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n<main>'
        + "\n".join(body for _, _, body in sections)
        + "</main></body></html>\n"
    )
