"""Shapes, textures and table tops of the embedded ``synthetic`` data set: pure functions of coordinates.

Every object is a :class:`Shape`: a signed distance and a painter over local coordinates, where the object has
about radius 1. All randomness is drawn when the object is built, so that the same object can be evaluated
anywhere, for example at a shifted place for its shadow. Everything is float64: the last bit of ``sin``
differs between machines, and in float64 that hardly ever reaches an 8-bit pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Field = Callable[[Array, Array], Array]
Painter = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Shape:
    """An object in local coordinates ``u``, ``v`` (each of shape (H, W), about -1 to 1 on the object)."""

    distance: Field  # signed distance to the outline in radii, negative inside, (H, W)
    paint: Painter  # gives height above the table in radii (H, W) and colour in 0 to 1 (H, W, 3)
    gloss: float = 0.2  # strength of the highlight, 0 to 1


def colour_from_hsv(hue: float, saturation: float, value: float) -> Array:
    """Return the RGB colour (3,) in 0 to 1 of a hue (any real, 1 is a full turn), saturation and value."""
    ramp = np.abs(np.mod(hue + np.array([0.0, 2 / 3, 1 / 3]), 1.0) * 6 - 3) - 1
    return value * (1 - saturation + saturation * np.clip(ramp, 0, 1))


def step(x: Array, softness: float = 0.08) -> Array:
    """Return a soft step from 0 to 1 around ``x = 0`` that is ``2 * softness`` wide."""
    t = np.clip(x / (2 * softness) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def mix(first: Array, second: Array, share: Array) -> Array:
    """Blend two colours ((3,) or (H, W, 3)) by the share (H, W) of the second."""
    return first + (second - first) * share[..., None]


def make_noise(rng: np.random.Generator, octaves: int = 1) -> Field:
    """Build a smooth value-noise field in 0 to 1, whose finest bumps are ``2 ** (1 - octaves)`` wide."""
    table = rng.random((32, 32))

    def lattice(x: Array, y: Array) -> Array:
        i, j = np.floor(x).astype(int), np.floor(y).astype(int)
        a, b = x - i, y - j
        a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
        i0, j0, i1, j1 = i % 32, j % 32, (i + 1) % 32, (j + 1) % 32
        top = table[i0, j0] * (1 - a) + table[i1, j0] * a
        bottom = table[i0, j1] * (1 - a) + table[i1, j1] * a
        return top * (1 - b) + bottom * b

    def field(x: Array, y: Array) -> Array:
        weights = 0.5 ** np.arange(octaves)
        layers = [w * lattice(x * 2**o + 7 * o, y * 2**o) for o, w in enumerate(weights)]
        return np.sum(layers, axis=0) / weights.sum()

    return field


def make_pattern(rng: np.random.Generator, kinds: tuple[str, ...]) -> Field:
    """Build a texture in 0 to 1: one of ``kinds`` (plain, stripes, dots, checker, noise, gradient)."""
    kind = kinds[rng.integers(len(kinds))]
    frequency, turn, offset = rng.uniform(1.1, 3.2), rng.uniform(0, np.pi), rng.random(2)
    share, noise = rng.uniform(0.35, 0.65), make_noise(rng, 3)
    cos, sin = np.cos(turn), np.sin(turn)

    def field(u: Array, v: Array) -> Array:
        x = (cos * u + sin * v) * frequency + offset[0]
        y = (cos * v - sin * u) * frequency + offset[1]
        if kind == "stripes":
            return step(np.abs(np.mod(x, 1) - 0.5) - share / 2, 0.06)
        if kind == "dots":
            return step(0.18 + 0.2 * share - np.hypot(np.mod(x, 1) - 0.5, np.mod(y, 1) - 0.5), 0.05)
        if kind == "checker":
            return step(np.sin(np.pi * x) * np.sin(np.pi * y), 0.12)
        if kind == "noise":
            return step(noise(x * 1.6, y * 1.6) - 0.5, 0.18)
        if kind == "gradient":
            return np.clip(0.5 + 0.6 * (x - offset[0]) / frequency, 0, 1)
        return np.zeros_like(x)

    return field


def make_rotation(rng: np.random.Generator) -> Array:
    """Return a random rotation (3, 3), uniform over all of them, from a unit quaternion."""
    w, x, y, z = (q := rng.normal(size=4)) / np.sqrt((q * q).sum())
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def make_ball(rng: np.random.Generator, colours: Array) -> Shape:
    """A shiny ball with the sectors of a beach ball or the bands of a marble."""
    rotation, sectors, bands = make_rotation(rng), rng.integers(2, 5), rng.uniform(1.0, 2.2)
    banded = rng.random() < 0.5

    def paint(u: Array, v: Array) -> tuple[Array, Array]:
        height = np.sqrt(np.clip(1 - u * u - v * v, 0, None))
        x, y, z = (sum(rotation[row, i] * p for i, p in enumerate((u, v, height))) for row in range(3))
        if banded:
            share = step(np.sin(np.pi * bands * z + 0.4), 0.15)
        else:
            share = step(np.sin(sectors * np.arctan2(y, x)) * np.hypot(x, y), 0.1)
        return height, mix(colours[0], colours[1], share)

    return Shape(lambda u, v: np.hypot(u, v) - 1, paint, gloss=0.55)


def make_box(rng: np.random.Generator, colours: Array) -> Shape:
    """A box seen from above: a bevelled rectangle with a checker, often with a ribbon around it."""
    long, short, corner = rng.uniform(0.85, 1.05), rng.uniform(0.55, 0.9), rng.uniform(0.02, 0.16)
    pattern = make_pattern(rng, ("checker",))
    ribbon, bevel = rng.uniform(0.08, 0.18) * (rng.random() < 0.5), rng.uniform(0.1, 0.2)

    def distance(u: Array, v: Array) -> Array:
        x, y = np.abs(u) - long + corner, np.abs(v) - short + corner
        return np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0) - corner

    def paint(u: Array, v: Array) -> tuple[Array, Array]:
        height = np.clip(-distance(u, v), 0, bevel) * 0.9
        colour = mix(colours[0], colours[1], pattern(u, v))
        band = step(ribbon - np.minimum(np.abs(u), np.abs(v)), 0.04) * (ribbon > 0)
        return height, mix(colour, colours[2], band)

    return Shape(distance, paint, gloss=0.15)


def make_ring(rng: np.random.Generator, colours: Array) -> Shape:
    """A ring: a torus with twisted candy stripes."""
    tube, turns, twist = rng.uniform(0.22, 0.36), rng.integers(4, 10), rng.uniform(-3, 3)

    def distance(u: Array, v: Array) -> Array:
        return np.abs(np.hypot(u, v) - 1 + tube) - tube

    def paint(u: Array, v: Array) -> tuple[Array, Array]:
        across = (np.hypot(u, v) - 1 + tube) / tube
        height = tube * np.sqrt(np.clip(1 - across**2, 0, None))
        share = step(np.sin(turns * np.arctan2(v, u) + twist * across), 0.25)
        return height, mix(colours[0], colours[1], share)

    return Shape(distance, paint, gloss=0.4)


def make_star(rng: np.random.Generator, colours: Array) -> Shape:
    """A star of five to seven points with bevelled arms that fade towards their tips."""
    points, inner = rng.integers(5, 8), rng.uniform(0.45, 0.62)
    fade, roof = rng.uniform(0.0, 0.9), rng.uniform(0.4, 0.8)
    half = np.pi / points
    # The edge from the tip (1, 0) to the notch (inner, half): its normal gives the distance to the outline.
    edge = np.array([inner * np.cos(half) - 1, inner * np.sin(half)])
    normal = np.array([edge[1], -edge[0]]) / np.hypot(*edge)

    def distance(u: Array, v: Array) -> Array:
        angle, radius = np.arctan2(v, u), np.hypot(u, v)
        folded = np.abs(np.mod(angle + half, 2 * half) - half)
        return (radius * np.cos(folded) - 1) * normal[0] + radius * np.sin(folded) * normal[1]

    def paint(u: Array, v: Array) -> tuple[Array, Array]:
        height = np.clip(-distance(u, v), 0, None) * roof * 1.6
        return height, mix(colours[0], colours[2], fade * np.clip(np.hypot(u, v), 0, 1))

    return Shape(distance, paint, gloss=0.3)


def make_flower(rng: np.random.Generator, colours: Array) -> Shape:
    """A flower: five to nine round petals, shaded towards a centre of another colour."""
    petals, depth, core = rng.integers(5, 10), rng.uniform(0.14, 0.26), rng.uniform(0.2, 0.34)
    veins, fade = rng.uniform(0, 0.5), rng.uniform(0.2, 0.9)

    def distance(u: Array, v: Array) -> Array:
        angle, radius = np.arctan2(v, u), np.hypot(u, v)
        outline = 1 - 2 * depth * (1 - np.sqrt(np.abs(np.cos(petals * angle / 2)) + 1e-6))
        return (radius - outline) * 0.8

    def paint(u: Array, v: Array) -> tuple[Array, Array]:
        angle, radius = np.arctan2(v, u), np.hypot(u, v)
        crease = np.abs(np.cos(petals * angle / 2))
        height = 0.35 * np.sqrt(crease + 1e-3) * np.clip(1.1 - radius, 0, 1) + 0.3 * radius
        height = height + 0.5 * np.sqrt(np.clip(core**2 - radius**2, 0, None))
        share = np.clip(fade * (1 - radius) + veins * np.abs(np.sin(3 * petals * angle)) * radius, 0, 1)
        colour = mix(colours[0], colours[1], share * 0.8)
        return height, mix(colour, colours[2], step(core - radius, 0.05))

    return Shape(distance, paint, gloss=0.1)


def make_leaf(rng: np.random.Generator, colours: Array) -> Shape:
    """A leaf: a pointed lens, bent a little, with a midrib and side veins."""
    width, bend, peak = rng.uniform(0.34, 0.56), rng.uniform(-0.35, 0.35), rng.uniform(-0.25, 0.25)
    count, slant, strength = rng.uniform(3, 7), rng.uniform(0.4, 1.2), rng.uniform(0.3, 0.9)
    teeth = rng.uniform(0, 0.06)

    def across(u: Array, v: Array) -> tuple[Array, Array]:
        middle = v - bend * (1 - u * u)
        lens = 1 - u * u
        half_width = width * np.clip(lens, 0, None) * (1 + peak * u) + teeth * np.sin(14 * u) * lens
        return middle, half_width

    def distance(u: Array, v: Array) -> Array:
        middle, half_width = across(u, v)
        return np.maximum((np.abs(middle) - half_width) * 0.8, np.abs(u) - 1)

    def paint(u: Array, v: Array) -> tuple[Array, Array]:
        middle, half_width = across(u, v)
        rib = step(0.05 - np.abs(middle), 0.04)
        phase = np.mod(count * (u - slant * np.abs(middle)), 1)
        veins = step(0.12 - np.abs(phase - 0.5), 0.08) * strength
        height = 0.25 * np.clip(half_width - np.abs(middle), 0, None) - 0.06 * np.maximum(rib, veins)
        tip = mix(colours[0], colours[2], np.clip(0.25 * (u + 1), 0, 1))
        return height, mix(tip, colours[1], np.maximum(rib, veins))

    return Shape(distance, paint, gloss=0.25)


def make_mushroom(rng: np.random.Generator, colours: Array) -> Shape:
    """A mushroom lying on its side: a dotted cap and a stem."""
    cap_low, lift = rng.uniform(0.05, 0.25), rng.uniform(0.75, 1.05)
    stem, flare = rng.uniform(0.18, 0.32), rng.uniform(-0.08, 0.14)
    pattern = make_pattern(rng, ("dots",))

    def parts(u: Array, v: Array) -> tuple[Array, Array]:
        cap = np.maximum(np.hypot(u, (v - cap_low) * lift) - 0.98, (v - cap_low) * 0.9)
        trunk = np.maximum(np.abs(u) - stem - flare * v * v, np.abs(v - cap_low - 0.35) - 0.5)
        return cap, trunk

    def distance(u: Array, v: Array) -> Array:
        return np.minimum(*parts(u, v))

    def paint(u: Array, v: Array) -> tuple[Array, Array]:
        cap, trunk = parts(u, v)
        is_cap = step(-cap, 0.03)
        dome = 0.8 * np.sqrt(np.clip(1 - u * u - ((v - cap_low) * lift) ** 2, 0, None)) + 0.15
        tube = np.sqrt(np.clip(stem**2 - u * u, 0, None)) * 0.9
        pale = 0.75 + 0.25 * colours[2]
        skin = mix(colours[0], colours[1], pattern(1.5 * u, 1.5 * v))
        return tube + (dome - tube) * is_cap, mix(pale, skin, is_cap)

    return Shape(distance, paint, gloss=0.3)


def make_distractor(rng: np.random.Generator, colours: Array) -> Shape:
    """Clutter that belongs to no class: a pebble, a shard or a stick."""
    kind, stretch = rng.integers(3), rng.uniform(0.55, 1.0)
    wobble, phase = rng.uniform(0.05, 0.2, 2), rng.uniform(0, 2 * np.pi, 2)
    pattern = make_pattern(rng, ("plain", "noise", "gradient", "stripes"))
    corners = rng.uniform(0.5, 0.9, 3)

    def distance(u: Array, v: Array) -> Array:
        if kind == 0:
            angle = np.arctan2(v, u)
            bumps = wobble[0] * np.sin(2 * angle + phase[0]) + wobble[1] * np.sin(3 * angle + phase[1])
            return np.hypot(u, v / stretch) - 0.8 - bumps
        if kind == 1:
            sides = [(phase[0] + 2.1 * side, 0.6 * corners[side]) for side in range(3)]
            return np.max([u * np.cos(turn) + v * np.sin(turn) - far for turn, far in sides], axis=0)
        return np.maximum(np.abs(v - wobble[0] * np.sin(2 * u)) - 0.1, np.abs(u) - 1.2)

    def paint(u: Array, v: Array) -> tuple[Array, Array]:
        height = 0.7 * np.sqrt(np.clip(-distance(u, v), 0, None) + 1e-3)
        return height, mix(colours[0], colours[1], 0.6 * pattern(u, v))

    return Shape(distance, paint, gloss=0.2)
