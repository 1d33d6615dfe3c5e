"""What a graph leaves to whoever runs it, in words and as metadata."""

from __future__ import annotations

from mmengine.config import Config

from mmseg_allspark import __version__
from mmseg_allspark.inference import LogitsNet, Plain
from mmseg_allspark.utils.images import loads_8bit

INPUT_ONLY = (
    "note: the table compares graph and network on the same input. The trained system does more, see the notes above: "
    "without it labels of your images may differ from its labels."
)


def pipeline_steps(cfg: Config) -> list[dict]:
    """Steps of the test pipeline."""
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    steps = dataset.get("pipeline") or cfg.get("test_pipeline") or []
    return [Config(dict(step=step)).to_dict()["step"] for step in steps]


def test_steps(cfg: Config) -> list[dict]:
    """Steps of the test pipeline that change images: all but those that load and pack."""
    loads = ("Load", "Pack", "InferencerLoader")
    return [step for step in pipeline_steps(cfg) if not str(step["type"]).startswith(loads)]


def as_call(step: dict) -> str:
    """Write a step as Python would call it."""
    return f"{step['type']}({', '.join(f'{key}={value!r}' for key, value in step.items() if key != 'type')})"


def notes(cfg: Config, input_kind: str) -> list[str]:
    """What a plain model's config does to images outside the graph, or the graph cannot take; a line for each."""
    found = [f"step of the test pipeline: {as_call(step)}" for step in test_steps(cfg)]
    for step in pipeline_steps(cfg)[:1] if input_kind == "image" else []:
        if not (loads_8bit(step) and step["type"] in ("LoadImage", "LoadImageFromFile")):
            found.append(
                f"values above 255 and fractions, which {as_call(step)} may load: the graph takes uint8. For such "
                "images export with --input normalized"
            )
    test_cfg = cfg.model.get("test_cfg") or {}
    if test_cfg.get("mode") == "slide":
        window = f"crop_size={test_cfg.get('crop_size')}, stride={test_cfg.get('stride')}"
        found.append(f"test_cfg.mode='slide', {window}: the graph computes one window")
    padding = cfg.model.data_preprocessor.get("test_cfg")
    if padding:
        found.append(f"padding by the preprocessor: {dict(padding)}")
    return found


def describe_needs(plain: Plain) -> str:
    """Say what has to be installed or on PYTHONPATH, beside mmseg, for a plain model."""
    needs = [f"{package} ({', '.join(kinds)})" if kinds else package for package, kinds in plain.needs.items()]
    return f"needs {', '.join(needs)}" if needs else "mmseg alone runs it"


def describe(net: LogitsNet, plain: Plain, which: str) -> dict:
    """Return what a user of the graph has to know."""
    preprocessor = plain.cfg.model.data_preprocessor
    normalized = (net.mean.flatten().tolist(), net.std.flatten().tolist(), bool(preprocessor.get("bgr_to_rgb")))
    order = "channels as loaded" if net.channels != 3 else "RGB" if net.swap else "BGR"
    layout = f"float32 (B, {net.channels}, H, W), {order}, (value - mean) / std"
    if net.input_kind == "image":
        order = "BGR" if net.channels == 3 else order
        layout = f"uint8 (B, {net.channels}, H, W), {order}, 0 to 255"
    outputs = dict(logits="float32 (B, classes, H, W)", labels="int64 (B, H, W), class numbers from 0 on")
    return dict(
        producer=f"mmseg-allspark {__version__}",
        input=layout,
        output=outputs[net.output_kind],
        mean=normalized[0],
        std=normalized[1],
        bgr_to_rgb=normalized[2],
        classes=plain.dataset_meta["classes"],
        palette=plain.dataset_meta["palette"],
        weights=which,
        test_cfg=plain.cfg.model.test_cfg.to_dict(),
        test_pipeline=test_steps(plain.cfg),
        padding=dict(preprocessor.get("test_cfg") or {}),
    )
