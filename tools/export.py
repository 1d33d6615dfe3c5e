"""Export a trained model: ``python tools/export.py CONFIG CHECKPOINT OUT [--format plain|onnx|torch-export]``.

plain         OUT.pth with OUT.py beside it: an EncoderDecoder and a config for testing and inference; nothing
              semi-supervised is left, and mmseg runs it without this package where all its parts are mmseg's
onnx          OUT.onnx; batch, height and width are free
torch-export  OUT.pt2 for torch.export.load; height and width are free, the batch size is --batch-size

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
from _export_notes import INPUT_ONLY, describe, describe_needs, notes
from mmengine.config import Config, DictAction
from mmengine.model import revert_sync_batchnorm
from torch import nn

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
from mmseg_allspark.utils.images import input_channels
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

SUFFIXES = {"plain": ".pth", "onnx": ".onnx", "torch-export": ".pt2"}
MARK = "# Written by tools/export.py, which may overwrite it."
SIZES = ((256, 256), (192, 320), (385, 513))  # a square, a landscape, and one that no stride divides


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
    """Write a graph that agrees with torch, or none.

    Raises:
        GraphDiffersError: If it does not agree; a file of an earlier export stays as it is.
    """
    preprocessor = plain.cfg.model.data_preprocessor
    outside = notes(plain.cfg, args.input)
    for note in outside:
        say(f"note: not in the graph: {note}")
    net = LogitsNet(plain.model, preprocessor, input_kind=args.input, output_kind=args.output)
    metadata, batch = describe(net, plain, which), args.batch_size
    say(f"input: {metadata['input']}; output: {metadata['output']}; tracing takes minutes, on a busy machine many ...")
    inputs = [net.example(batch, shape, seed) for seed, shape in enumerate(args.sizes)]
    if args.format == "onnx":  # another batch size as well
        inputs.append(net.example(batch + 1, args.sizes[0], len(inputs)))
    with replacing(args.out) as partial:
        if args.format == "onnx":
            export_onnx(net, partial, metadata)
        else:
            export_torch(net, partial, metadata, batch_size=batch)
        rows = compare_outputs(net, load_graph(partial, torch.get_num_threads()), inputs)
        if not report(rows, args.tolerance):
            raise GraphDiffersError(f"The graph differs by more than {args.tolerance:g}.")
    if outside:
        say(INPUT_ONLY)


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
    parser.add_argument("--format", choices=SUFFIXES, help="default: by the suffix of OUT")
    add_weights(parser)
    parser.add_argument("--ensemble", action="store_true", help="the mean of all teachers, of a run that has several")
    parser.add_argument("--input", choices=INPUTS, default="image", help="what a graph takes (default: image)")
    parser.add_argument("--output", choices=OUTPUTS, default="logits", help="what a graph gives (default: logits)")
    parser.add_argument("--batch-size", type=int, default=1, help="of the comparison and of torch-export (default: 1)")
    sizes = "compared (default: 256x256 192x320 385x513)"
    parser.add_argument("--sizes", type=size, nargs="+", default=SIZES, metavar="HxW", help=sizes)
    parser.add_argument("--tolerance", type=float, default=1e-4, help="of logits (default: 1e-4)")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings: nested.key=value ...")
    args = parser.parse_args(argv)
    require_model_files(parser, args)
    formats = {suffix: name for name, suffix in SUFFIXES.items()}
    args.format = args.format or formats.get(args.out.suffix)
    if args.format is None or args.out.suffix != SUFFIXES[args.format]:
        parser.error(f"OUT {args.out}: {', '.join(f'{suffix} for {name}' for name, suffix in SUFFIXES.items())}")
    if args.out.resolve() == Path(args.checkpoint).resolve():
        parser.error(f"OUT {args.out} is the checkpoint itself")
    if args.format == "plain":
        refuse_overwriting(parser, args.out, args.config)
    return args


@errors_in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Export what the command line asks for.

    Returns:
        Exit code: 0, or 1 if the export does not compute what the model computes.
    """
    args = parse_args(argv)
    if args.format != "plain":
        require_graphs(args.format == "onnx")  # before minutes of work
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
        if args.format == "plain":
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
