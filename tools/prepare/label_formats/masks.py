"""Masks as image files: numbers of classes (grey or palette), 0 and 255, or a colour for each class."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from _files import PrepareError, say
from _masks import run_parallel
from PIL import Image, ImageColor

from mmseg_allspark.datasets.mask_checks import IGNORE
from mmseg_allspark.datasets.transforms.decoding import DataFileError, read_bytes, read_header
from mmseg_allspark.datasets.transforms.mask_decoding import decode_mask, to_uint8
from mmseg_allspark.utils.files import walk_files, write_whole

from .common import Colour, Images, Labels, NamesMissing, list_classes, make_palette, number_classes

SUFFIXES = (".png", ".tif", ".tiff", ".bmp")  # formats that keep numbers
_MOST = 256  # colours in a mask; more come from smoothed edges or a lossy format
_GREY = 0x010101  # times a grey value: its colour
Codes = dict[int, int]  # number, or colour 0xRRGGBB -> pixels


def decode(path: Path) -> np.ndarray:
    """Decode a mask: numbers (H, W) uint8, or colours (H, W, 3) uint8 RGB, of which all channels may be equal."""
    try:
        content = read_bytes(str(path), "mask", "the folder", None)
        header = read_header(content, str(path), "mask")
        if header.mode not in ("RGB", "RGBA", "LA") or header.format not in ("PNG", "TIFF", "BMP"):
            return to_uint8(_narrow(decode_mask(content, str(path))), str(path))
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise PrepareError(f"The mask {path} cannot be decoded: save it again as PNG.")
        if pixels.shape[2] == 4 and (pixels[..., 3] != np.iinfo(pixels.dtype).max).any():
            raise PrepareError(f"The mask {path} is partly transparent: save it without transparency.")
        return to_uint8(_narrow(pixels[..., 2::-1]), str(path))
    except DataFileError as error:
        raise PrepareError(str(error)) from error


def _narrow(pixels: np.ndarray) -> np.ndarray:
    """Bring 16-bit values that are 8-bit ones stretched back; others are numbers already."""
    return pixels // 257 if pixels.dtype == np.uint16 and not (pixels % 257).any() else pixels


class Survey(NamedTuple):
    """What a mask holds."""

    kind: str  # 'number', 'grey' (colours, all of equal channels) or 'colour'
    codes: Codes  # pixels of each number or colour; a grey colour counts by its value
    palette: dict[int, Colour]  # of each number, where the file has a palette


def survey(job: tuple[Path]) -> Survey:
    """Look at a mask."""
    pixels = decode(job[0])
    grey = pixels.ndim == 3 and (pixels == pixels[..., :1]).all()
    counts = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels)).getcolors(_MOST)
    if counts is None:
        raise PrepareError(
            f"The mask {job[0]} has more than {_MOST} colours: its edges are smoothed, or it was a JPEG once. Export "
            "the masks as PNG without smoothing (anti-aliasing)."
        )
    if pixels.ndim == 3 and not grey:
        return Survey("colour", {(r << 16) + (g << 8) + b: count for count, (r, g, b) in counts}, {})
    with Image.open(job[0]) as image:
        parts = np.reshape(image.getpalette("RGB") if image.mode == "P" else [], (-1, 3)).astype(int).tolist()
    palette = {code: tuple(parts[code]) for _, code in counts if code < len(parts)}
    return Survey("grey" if grey else "number", {code: count for count, code in counts}, palette)


def pair(folder: Path, images: Images, ending: str) -> dict[Path, Path]:
    """Return the mask of each image that has one."""
    files = {}
    for path in walk_files(folder, SUFFIXES):
        if not path.stem.endswith(ending):
            continue
        image = images.find(path.relative_to(folder).with_suffix("").as_posix().removesuffix(ending), whole=True)
        if image is None:
            raise PrepareError(
                f"The mask {path} has no image of the same name in {images.folder}. If masks have a longer name, "
                "such as a_mask.png for a.jpg, give --mask-ending _mask."
            )
        if image in files:
            raise PrepareError(f"{image} has the masks {files[image]} and {path}: leave one.")
        files[image] = path
    if not files:
        raise PrepareError(f"{folder} holds no mask whose name ends in {ending}.")
    return files


def read(folder: Path, images: Images, options: Namespace) -> Labels:
    """Read a folder of masks, named as their images are (with ``options.mask_ending`` behind)."""
    files = pair(folder, images, options.mask_ending)
    found = run_parallel(survey, [(path,) for path in files.values()], options.workers, "looked at mask")
    kinds = {entry.kind: path for entry, path in zip(found, files.values(), strict=True)}
    coloured = "colour" in kinds
    if coloured and "number" in kinds:
        raise PrepareError(f"{kinds['colour']} is in colour and {kinds['number']} is not: one kind of masks is needed.")
    total, palette = Counter(), {}
    for entry, path in zip(found, files.values(), strict=True):
        factor = _GREY if coloured and entry.kind == "grey" else 1
        total.update({factor * code: count for code, count in entry.codes.items()})
        for code, colour in entry.palette.items():
            if palette.setdefault(code, colour) != colour:
                raise PrepareError(
                    f"{code} is the colour {colour} in the palette of {path}, and {palette[code]} in another mask: "
                    "the numbers mean nothing. Save the masks in colour (RGB)."
                )
    names = _name_codes(total, coloured, options)
    numbers = number_classes(list(dict.fromkeys(names.values())), options.classes, options.ignore)
    shown = {code: (code >> 16, code >> 8 & 255, code & 255) for code in names} if coloured else palette
    colours = {name: shown[code] for code, name in reversed(names.items()) if code in shown}  # the first of several
    table = {code: numbers[name] for code, name in names.items()}
    draw = {image: partial(_draw, path, table, coloured) for image, path in files.items()}
    return Labels(list_classes(numbers), make_palette(numbers, colours), draw)


def _name_codes(total: Codes, coloured: bool, options: Namespace) -> dict[int, str]:
    """Return the class of each number or colour."""
    if options.colours is not None:
        names = read_colours(options.colours)
        if not coloured and (large := max(names, default=0)) > IGNORE:
            raise PrepareError(f"{options.colours} names {large}, but the masks hold numbers up to {IGNORE}.")
        if other := [code for code in total if code not in names and (coloured or code != IGNORE)]:
            share = 100 * total[other[0]] / sum(total.values())
            raise PrepareError(
                f"The masks hold {_write_code(other[0], coloured)} ({share:.3f} % of the pixels), "
                f'which {options.colours} does not name: add it, with the name "ignore" if it does not count.'
            )
        return names if coloured else {IGNORE: "ignore"} | names
    numbers = sorted(code for code in total if code != IGNORE)
    if not coloured and set(total) == {0, IGNORE} and len(options.classes) in (0, 2):
        return dict(zip((0, IGNORE), options.classes or ("background", "object"), strict=True))
    if not coloured and options.classes:
        if wrong := [number for number in numbers if number >= len(options.classes)]:
            raise PrepareError(
                f"The masks hold class numbers up to {wrong[-1]}, but --classes gives {len(options.classes)} names: "
                f"give {wrong[-1] + 1}, in the order of the numbers."
            )
        return dict(enumerate(options.classes)) | {IGNORE: "ignore"}
    if not coloured and numbers == list(range(len(numbers))):
        return {number: f"class {number}" for number in numbers} | {IGNORE: "ignore"}
    raise _ask_for_names(total, coloured, options)


def _ask_for_names(total: Codes, coloured: bool, options: Namespace) -> NamesMissing:
    what, pixels = ("colours" if coloured else "numbers"), sum(total.values())
    say(f"The masks hold {len(total)} {what}:")
    order = sorted(total, key=lambda code: -total[code] if coloured else code)
    for code in order:
        rgb = f" ({code >> 16}, {code >> 8 & 255}, {code & 255})" if coloured else ""
        say(f"  {_write_code(code, coloured)}{rgb}: {100 * total[code] / pixels:.2f} % of the pixels")
    kept = [code for code in order if coloured or code != IGNORE]
    template = {_write_code(code, coloured): f"class {place}" for place, code in enumerate(kept)}
    file = options.out / "colours.json"
    if not file.exists():
        write_whole(json.dumps(template, indent=1) + "\n", file)
    return NamesMissing(
        f'Name the classes in {file}: each {what[:-1]} gets a name, several may share one, and "ignore" '
        "leaves pixels out. Then run the same command once more with"
    )


def _write_code(code: int, coloured: bool) -> str:
    return f"#{code:06x}" if coloured else str(code)


def read_colours(path: Path) -> dict[int, str]:
    """Read a file of names: ``{"#800000": "building", "#000000": "ignore"}``, or numbers in place of colours.

    Colours are written in any way that Pillow knows, such as ``rgb(128, 0, 0)``.
    """
    try:
        content = json.loads(path.read_bytes())
        names = {}
        for key, name in content.items():
            code = int(key) if key.isdigit() else int.from_bytes(bytes(ImageColor.getrgb(key)[:3]), "big")
            if not (isinstance(name, str) and name):
                raise ValueError(f"{key} has no name")
            names[code] = name
        return names
    except (ValueError, AttributeError) as error:
        raise PrepareError(f'{path}: {error}. It needs a name for each colour: {{"#800000": "building"}}.') from error


def _draw(path: Path, table: Mapping[int, int], coloured: bool) -> np.ndarray:
    pixels = decode(path)
    if not coloured:
        numbers = np.full(256, IGNORE, np.uint8)
        numbers[list(table)] = list(table.values())
        return numbers[pixels if pixels.ndim == 2 else pixels[..., 0]]
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    known = np.array(sorted(table), np.int32)
    places = np.searchsorted(known, (red << 16) + (green << 8) + blue)
    return np.array([table[code] for code in known.tolist()], np.uint8)[places]
