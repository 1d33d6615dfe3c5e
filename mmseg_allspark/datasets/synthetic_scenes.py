"""Scenes of the embedded ``synthetic`` data set: small objects on a table, lit, shaded and photographed.

One scene is a pure function of a random generator. What makes the task need many images: hue, pattern, pattern
frequency, rotation, scale, proportions, table, light and colour cast vary independently of the class, and neither
colour nor place says which class an object is.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from . import synthetic_shapes as shapes
from .synthetic_shapes import Array, Shape, colour_from_hsv, make_noise, mix, step

IGNORE = 255
# An object usually wears the hue (1 is a full turn) of its class, else any hue, and light and colour cast move it. Box
# and star, or ball and ring, lie close together: there shape and pattern decide, and those take many images to learn.
_OBJECTS = (  # class, colour in pictures of masks, typical hue, what draws it
    ("table", (64, 66, 82), 0.0, shapes.make_distractor),
    ("ball", (235, 94, 85), 0.6, shapes.make_ball),
    ("box", (245, 176, 65), 0.08, shapes.make_box),
    ("ring", (88, 177, 159), 0.47, shapes.make_ring),
    ("star", (84, 141, 212), 0.15, shapes.make_star),
    ("flower", (214, 122, 190), 0.84, shapes.make_flower),
    ("leaf", (129, 190, 76), 0.32, shapes.make_leaf),
    ("mushroom", (150, 108, 214), 0.0, shapes.make_mushroom),
)
CLASSES, PALETTE, TYPICAL_HUES, MAKERS = zip(*_OBJECTS, strict=True)
TYPICAL_HUE_SHARE = 0.93
TONE_IN_TONE_SHARE = 0.6


def make_scene(rng: Generator, size: int = 128) -> tuple[Array, Array]:
    """Draw one scene; the same state of ``rng`` gives the same.

    Returns:
        image: (size, size, 3) uint8, RGB.
        mask: (size, size) uint8, an index into :data:`CLASSES`, 255 on the blurred outline of objects.
    """
    if size < 32:
        raise ValueError(f"size is {size}, but a scene needs at least 32 pixels; use size=128 if in doubt")
    third, fourth, last = rng.uniform([0.2, 0.6, 0.0], [0.4, 0.8, 1.0])
    hues = rng.random() + np.array([0.0, 0.08, 0.5, third, fourth, last])
    light = _draw_light(rng)
    canvas = _paint_table(rng, hues, size)
    mask = np.zeros((size, size), np.uint8)
    for label, place, radius in _draw_layout(rng, size):
        item = MAKERS[label](rng, _draw_colours(rng, label, hues))
        _place(canvas, mask, item, label=label, place=place, radius=radius, light=light, rng=rng)
    return _photograph(rng, canvas), mask


def _draw_light(rng: Generator) -> Array:
    """Return the unit vector (x, y, z) towards the light: from any side, never straight from above."""
    turn, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 0.95)
    return np.array([np.cos(turn) * np.sin(tilt), np.sin(turn) * np.sin(tilt), np.cos(tilt)])


def _draw_colours(rng: Generator, label: int, hues: Array) -> Array:
    """Return three colours (3, 3) for one object; the first two differ clearly in brightness."""
    picked = rng.choice(hues, 3) + rng.normal(0, 0.03, 3)
    typical = rng.random(2) < (TYPICAL_HUE_SHARE, TONE_IN_TONE_SHARE)
    if label and typical[0]:
        picked[0] = TYPICAL_HUES[label] + rng.normal(0, 0.025)
    if typical[1]:
        picked[1] = picked[0]
    values = np.array([rng.uniform(0.65, 0.95), 0.0, rng.uniform(0.6, 1.0)])
    values[1] = values[0] - rng.uniform(0.2, 0.4) if rng.random() < 0.5 else rng.uniform(0.9, 1.0)
    saturations = np.array([rng.uniform(0.5, 0.85), rng.uniform(0.05, 0.7), rng.uniform(0.3, 0.8)])
    if not label:
        saturations *= 0.35
    return np.stack([colour_from_hsv(*hsv) for hsv in np.stack([picked, saturations, values], 1)])


def _draw_layout(rng: Generator, size: int) -> list[tuple[int, Array, float]]:
    """Return (label, centre (x, y), radius) of everything on the table, bottom first, label 0 for clutter."""
    layout: list[tuple[int, Array, float]] = []
    count = int(rng.integers(2, 6))
    labels = rng.permutation(np.arange(1, len(CLASSES)))[:count]
    for label in labels:
        radius = size * rng.uniform(0.17, 0.3)
        # Eight tries to find a free place; what is left over overlaps, as objects on a table do.
        tries = rng.uniform(0.06 * size, 0.94 * size, (8, 2))
        gaps = [min((np.hypot(*(p - q)) - r for _, q, r in layout), default=size) for p in tries]
        layout.append((int(label), tries[int(np.argmax(np.minimum(gaps, radius)))], radius))
    for _ in range(int(rng.integers(1, 5))):
        clutter = (0, rng.uniform(0, size, 2), size * rng.uniform(0.03, 0.08))
        layout.insert(int(rng.integers(len(layout) + 1)), clutter)
    return layout


def _paint_table(rng: Generator, hues: Array, size: int) -> Array:
    """Return a table top (size, size, 3): plain, wood, gingham, striped cloth, terrazzo, sand or tiles."""
    y, x = np.mgrid[0:size, 0:size] / size
    turn, frequency = rng.uniform(0, np.pi), rng.uniform(3, 9)
    a, b = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    value, hue = rng.uniform(0.55, 0.95), rng.choice(hues)
    base = colour_from_hsv(hue, rng.uniform(0.03, 0.2), value)
    darker = value * rng.uniform(0.65, 0.88)
    other = colour_from_hsv(hue + rng.normal(0, 0.06), rng.uniform(0.03, 0.2), darker)
    noise, kind = make_noise(rng, 4), rng.integers(7)
    if kind == 0:
        share = 0.4 * noise(3 * x, 3 * y)
    elif kind == 1:
        planks = step(0.04 - np.abs(np.mod(a * frequency / 2, 1) - 0.5), 0.03)
        share = np.mod(a * 9 + 5 * noise(2 * a, b), 1) * 0.6 + planks * 0.5
    elif kind == 2:
        share = 0.5 * (step(np.sin(2 * np.pi * a * frequency)) + step(np.sin(2 * np.pi * b * frequency)))
    elif kind == 3:
        share = step(np.sin(2 * np.pi * a * frequency), 0.3)
    elif kind == 4:
        share = step(noise(14 * a, 14 * b) - 0.6, 0.04)
    elif kind == 5:
        share = noise(24 * a, 24 * b)
    else:
        joints = [np.abs(np.mod(along * frequency / 2, 1) - 0.5) for along in (a, b)]
        share = step(0.04 - np.minimum(*joints), 0.03) + 0.3 * noise(4 * a, 4 * b)
    grain = 1 + 0.06 * (noise(20 * x + 3, 20 * y) - 0.5)
    return mix(base, other, np.clip(share, 0, 1)) * grain[..., None]


def _place(
    canvas: Array, mask: Array, item: Shape, *, label: int, place: Array, radius: float, light: Array, rng: Generator
) -> None:
    """Draw an object with its shadow onto ``canvas`` (S, S, 3) and ``mask`` (S, S), both in place."""
    size, turn = len(mask), rng.uniform(0, 2 * np.pi)
    squash, lift = rng.uniform(0.82, 1.0), rng.uniform(0.12, 0.4)
    shift = -light[:2] / light[2] * lift * radius
    reach = radius * 1.35 + np.abs(shift).max()
    x0, y0 = (np.clip(np.floor(place - reach), 0, size)).astype(int)
    x1, y1 = (np.clip(np.ceil(place + reach), 0, size)).astype(int)
    if x0 >= x1 or y0 >= y1:
        return
    y, x = np.mgrid[y0:y1, x0:x1].astype(float)

    def local(dx: float, dy: float) -> tuple[Array, Array]:
        a, b = (x - place[0] - dx) / radius, (y - place[1] - dy) / radius
        return np.cos(turn) * a + np.sin(turn) * b, (np.cos(turn) * b - np.sin(turn) * a) / squash

    patch = canvas[y0:y1, x0:x1]
    shadow = step(-item.distance(*local(*shift)), 0.12 + 0.5 * lift)
    patch *= 1 - 0.55 * shadow[..., None]
    u, v = local(0, 0)
    cover = np.clip(0.5 - item.distance(u, v) * radius * squash, 0, 1)
    height, colour = item.paint(u, v)
    patch += (_shade(height * radius, colour, light, item.gloss) - patch) * cover[..., None]
    labels = mask[y0:y1, x0:x1]
    unclear = (cover > 0.15) & (cover < 0.85) & (labels != label)
    labels[cover >= 0.5] = label
    labels[unclear] = IGNORE


def _shade(height: Array, colour: Array, light: Array, gloss: float) -> Array:
    """Light a surface of ``height`` (H, W) in pixels and ``colour`` (H, W, 3)."""
    if min(height.shape) < 2:
        return colour
    slope_y, slope_x = np.gradient(height)
    length = np.sqrt(1 + slope_x**2 + slope_y**2)
    towards = light + np.array([0, 0, 1.0])
    half = towards / np.linalg.norm(towards)
    diffuse = np.clip((light[2] - light[0] * slope_x - light[1] * slope_y) / length, 0, None)
    shine = np.clip((half[2] - half[0] * slope_x - half[1] * slope_y) / length, 0, None) ** 30
    return colour * (0.4 + 0.72 * diffuse)[..., None] + (gloss * shine)[..., None]


def _photograph(rng: Generator, canvas: Array) -> Array:
    """Photograph the lit table (S, S, 3) in 8 bits: uneven light, colour cast, exposure, blur, noise."""
    size = len(canvas)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    along = np.cos(turn) * x + np.sin(turn) * y
    light = 1 + rng.uniform(0, 0.6) * along - rng.uniform(0, 0.5) * (x * x + y * y)
    if rng.random() < 0.35:
        # The edge of a window or a curtain: part of the table lies in the shade.
        shade = step(along - rng.uniform(-0.3, 0.3), rng.uniform(0.02, 0.15))
        light = light * (1 - rng.uniform(0.2, 0.5) * shade)
    cast = 1 + rng.uniform(-0.1, 0.1, 3)
    image = canvas * light[..., None] * cast * rng.uniform(0.8, 1.1)
    sigma = rng.uniform(0, 0.7) * size / 128
    image = np.clip(_blur(image, sigma), 0, 1)
    image = image + rng.normal(0, rng.uniform(0.004, 0.025), image.shape)
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _blur(image: Array, sigma: float) -> Array:
    """Blur an image (H, W, 3) by a Gaussian of ``sigma`` pixels, edges repeated."""
    reach = int(np.ceil(3 * sigma))
    if reach < 1:
        return image
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
    weights = weights / weights.sum()
    for axis in (0, 1):
        padding = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        padded, length = np.pad(image, padding, mode="edge"), image.shape[axis]
        image = sum(w * np.take(padded, range(k, k + length), axis) for k, w in enumerate(weights))
    return image
