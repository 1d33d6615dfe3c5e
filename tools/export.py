"""Export a trained model: ``python tools/export.py CONFIG CHECKPOINT OUT``.

OUT.pth   with OUT.py beside it, a plain model: an EncoderDecoder and a config for testing and inference; nothing
          semi-supervised is left, and mmseg runs it without this package where all its parts are mmseg's
OUT.onnx  batch, height and width are free
OUT.pt2   for torch.export.load; height and width are free, the batch size is --batch-size

Every export is compared with the model it was made from: plain models bit by bit, graphs to --tolerance at all
--sizes, with a table of differences and times. Exit code 1 if they differ; nothing is written then. Graphs take
(B, C, H, W) uint8 images (of three channels as cv2.imread gives them, BGR), unless --input normalized, and give logits
at the size of the images, unless --output labels; their metadata say so, and hold classes and colours. CONFIG may be
'-': the config inside the checkpoint.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import mmseg_allspark  # noqa: F401

# isort: split
import torch
from _common import add_weights, require_model_files
from _errors import Parser, errors_in_one_line, say
from mmengine.config import Config, DictAction
from mmengine.model import revert_sync_batchnorm
from torch import nn

from mmseg_allspark import __version__
from mmseg_allspark.inference import (
    LogitsNet,
    Plain,
    as_ensemble,
    compare_outputs,
    export_onnx,
    export_torch,
    load_config,
    load_model,
    make_plain,
)
from mmseg_allspark.inference.graphs import INPUTS, OUTPUTS, Comparison, load_graph, require_graphs
from mmseg_allspark.inference.models import MEANING
from mmseg_allspark.inference.publish import scrub, to_bytes
from mmseg_allspark.utils.files import replacing, write_whole
from mmseg_allspark.utils.images import input_channels, loads_8bit
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

SUFFIXES = (".pth", ".onnx", ".pt2")
MARK = "# Written by tools/export.py, which may overwrite it."
SIZES = ((256, 256), (192, 320), (385, 513))  # a square, a landscape, and one that no stride divides
INPUT_ONLY = (
    "note: the table compares graph and network on the same input. The trained system does more, see the notes above: "
    "without it labels of your images may differ from its labels."
)


def size(text: str) -> tuple[int, int]:
    """Read a size HEIGHTxWIDTH."""
    height, _, width = text.partition("x")
    return int(height), int(width)


def export_plain(plain: Plain, out: Path, which: str, checkpoint: dict) -> None:
    """Write the plain checkpoint and its config."""
    kept = {key: checkpoint["meta"][key] for key in ("epoch", "iter") if key in (checkpoint.get("meta") or {})}
    values = plain.cfg.to_dict()
    for key, what in scrub(values).items():
        say(f"config: {key} {'' if what == 'removed' else '-> '}{what}")
    text = Config(values).pretty_text
    meta = kept | dict(weights=which, dataset_meta=plain.dataset_meta, cfg=text)
    write_whole(to_bytes(dict(meta=meta, state_dict=plain.state_dict)), out)
    write_whole(f"{MARK}\n{text}", out.with_suffix(".py"))
    say(f"{out.with_suffix('.py')}: its config; {describe_needs(plain)}")


@torch.no_grad()
def is_same(trained: nn.Module, plain: Plain, sizes: Sequence[tuple[int, int]]) -> bool:
    """Whether the trained and the plain model give the same logits, bit by bit."""
    pair = [revert_sync_batchnorm(model).eval() for model in (trained, plain.model)]
    generator, channels = torch.Generator().manual_seed(0), input_channels(trained)
    inputs = [torch.randn(1, channels, height, width, generator=generator) for height, width in sizes]
    return all(torch.equal(*(model(images, mode="tensor") for model in pair)) for images in inputs)


def report(rows: Sequence[Comparison], tolerance: float) -> bool:
    """Print the table; whether all rows are within the tolerance (labels: 99.9 % equal)."""
    say(f"{'input':>18}  {'largest difference':>18}  {'equal labels':>12}  {'torch':>9}  {'graph':>9}")
    for row in rows:
        shape, times = "x".join(map(str, row.shape)), (1e3 * row.torch_seconds, 1e3 * row.graph_seconds)
        difference = "-" if row.difference is None else f"{row.difference:.1e}"
        say(f"{shape:>18}  {difference:>18}  {row.equal:12.4%}  {times[0]:6.0f} ms  {times[1]:6.0f} ms")
    return all(row.equal >= 0.999 if row.difference is None else row.difference <= tolerance for row in rows)


class GraphDiffersError(Exception):
    """A graph does not compute what torch computes."""


def export_graph(args: argparse.Namespace, plain: Plain, which: str) -> None:
    """Write a graph that agrees with torch, or none."""
    preprocessor = plain.cfg.model.data_preprocessor
    outside = notes(plain.cfg, args.input)
    for note in outside:
        say(f"note: not in the graph: {note}")
    net = LogitsNet(plain.model, preprocessor, input_kind=args.input, output_kind=args.output)
    metadata, batch = describe(net, plain, which), args.batch_size
    say(f"input: {metadata['input']}; output: {metadata['output']}; tracing takes minutes, on a busy machine many ...")
    inputs = [net.example(batch, shape, seed) for seed, shape in enumerate(args.sizes)]
    if args.out.suffix == ".onnx":  # another batch size as well
        inputs.append(net.example(batch + 1, args.sizes[0], len(inputs)))
    with replacing(args.out) as partial:
        if args.out.suffix == ".onnx":
            export_onnx(net, partial, metadata)
        else:
            export_torch(net, partial, metadata, batch_size=batch)
        rows = compare_outputs(net, load_graph(partial, torch.get_num_threads()), inputs)
        if not report(rows, args.tolerance):
            raise GraphDiffersError(f"The graph differs by more than {args.tolerance:g}.")
    if outside:
        say(INPUT_ONLY)


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


def refuse_overwriting(parser: argparse.ArgumentParser, out: Path, config: str) -> None:
    """Stop with a usage error if a plain model would take the place of what this tool has not written."""
    beside = out.with_suffix(".py")
    if config != "-" and beside.resolve() == Path(config).resolve():
        parser.error(f"OUT {out}: its config {beside} would overwrite CONFIG; give another name")
    if beside.exists() and not beside.read_text(errors="replace").startswith(MARK):
        parser.error(f"OUT {out}: {beside} exists and is no export; give another name")
    if out.exists() and not beside.exists():
        parser.error(f"OUT {out} exists and is no export (it has no {beside.name}); give another name")


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG", help="config of training, or - for the one inside the checkpoint")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint of training")
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write: .pth, .onnx or .pt2")
    add_weights(parser)
    parser.add_argument("--ensemble", action="store_true", help="the mean of all teachers, of a run that has several")
    parser.add_argument("--input", choices=INPUTS, default="image", help="what a graph takes (default: image)")
    parser.add_argument("--output", choices=OUTPUTS, default="logits", help="what a graph gives (default: logits)")
    parser.add_argument("--batch-size", type=int, default=1, help="of the comparison and of OUT.pt2 (default: 1)")
    sizes = "compared (default: 256x256 192x320 385x513)"
    parser.add_argument("--sizes", type=size, nargs="+", default=SIZES, metavar="HxW", help=sizes)
    parser.add_argument("--tolerance", type=float, default=1e-4, help="of logits (default: 1e-4)")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings: nested.key=value ...")
    args = parser.parse_args(argv)
    require_model_files(parser, args)
    if args.batch_size < 1:
        parser.error(f"--batch-size {args.batch_size}: at least 1")
    if args.out.suffix not in SUFFIXES:
        parser.error(f"OUT {args.out}: its name ends in {', '.join(SUFFIXES)}")
    if args.out.resolve() == Path(args.checkpoint).resolve():
        parser.error(f"OUT {args.out} is the checkpoint itself")
    if args.out.suffix == ".pth":
        refuse_overwriting(parser, args.out, args.config)
    return args


@errors_in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Export what the command line asks for; exit code 1 if the export does not compute what the model computes."""
    args = parse_args(argv)
    if args.out.suffix != ".pth":
        require_graphs(args.out.suffix == ".onnx")  # before minutes of work
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")  # of torch's own exporter
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # what they skip, line after line
        logging.getLogger(name).setLevel(logging.ERROR)
    checkpoint = load_checkpoint(args.checkpoint, map_location="cpu")
    cfg = load_config(None if args.config == "-" else args.config, checkpoint, args.checkpoint, args.cfg_options)
    if args.ensemble:
        cfg, checkpoint = as_ensemble(cfg, checkpoint, args.checkpoint)
    elif checkpoint.get("other_teachers"):
        say("note: the first teacher alone is exported; --ensemble exports the mean of all")
    plain, which = make_plain(cfg, checkpoint, args.checkpoint, args.weights)
    say(f"weights: {MEANING.get(which, which)}; {len(plain.state_dict)} tensors kept, {len(plain.dropped)} left out")
    say("left out: " + (", ".join(sorted({name.rpartition(".")[0] or name for name in plain.dropped})) or "nothing"))
    if not is_same(load_model(cfg, checkpoint, args.checkpoint, which)[0], plain, args.sizes):
        say("The plain model does not give the trained model's logits: nothing was written.")
        return 1
    say(f"plain model: the same logits bit by bit at {len(args.sizes)} sizes")
    try:
        if args.out.suffix == ".pth":
            export_plain(plain, args.out, which, checkpoint)
        else:
            export_graph(args, plain, which)
    except GraphDiffersError as error:
        say(f"{error} {args.out} was not written.")
        return 1
    say(f"{args.out}: {args.out.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
