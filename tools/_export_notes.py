"""What a graph leaves to whoever runs it, in words and as metadata."""

from __future__ import annotations

from mmengine.config import Config

from mmseg_allspark import __version__
from mmseg_allspark.deploy import LogitsNet, Plain

INPUT_ONLY = (
    "note: the table compares graph and network on the same input. The trained system does more, see the notes above: "
    "without it labels of your images may differ from its labels."
)


def test_steps(cfg: Config) -> list[dict]:
    """Steps of the test pipeline that change images: all but those that load and pack."""
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    steps = cfg.get("test_pipeline") or []
    steps = dataset.get("pipeline") or steps
    loads = ("Load", "Pack", "InferencerLoader")
    return [Config(dict(step=step)).to_dict()["step"] for step in steps if not str(step["type"]).startswith(loads)]


def notes(cfg: Config) -> list[str]:
    """What a plain model's config does to images outside the graph, a line for each."""
    found = []
    for step in test_steps(cfg):
        options = ", ".join(f"{key}={value}" for key, value in step.items() if key != "type")
        found.append(f"step of the test pipeline: {step['type']}({options})")
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
    layout = "uint8 (B, 3, H, W), BGR, 0 to 255"
    if net.input_kind == "normalized":
        layout = f"float32 (B, 3, H, W), {'RGB' if net.swap else 'BGR'}, (value - mean) / std"
    outputs = dict(logits="float32 (B, classes, H, W)", labels="int64 (B, H, W)")
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
