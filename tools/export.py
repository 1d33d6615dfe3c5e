"""Export a trained model: ``python tools/export.py CONFIG CHECKPOINT OUT [--format plain|onnx|torch-export]``.

plain         OUT.pth with OUT.py beside it: an EncoderDecoder and a config for testing and inference; nothing
              semi-supervised is left, and mmseg runs it without this package where all its parts are mmseg's
onnx          OUT.onnx; batch, height and width are free
torch-export  OUT.pt2 for torch.export.load; height and width are free, the batch size is --batch-size

Every export is compared with the model it was made from: plain models bit by bit, graphs to --tolerance at all
--sizes, with a table of differences and times. Exit code 1 if they differ; the file is then removed. Graphs take
(B, 3, H, W) uint8 images as cv2.imread gives them (BGR), unless --input normalized, and give logits at the size of the
images, unless --output labels; their metadata say so, and hold classes and colours. CONFIG may be '-': the config
inside the checkpoint.
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
from _common import require_file
from mmengine.config import Config, DictAction
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS

from mmseg_allspark import __version__
from mmseg_allspark.apis import load_config
from mmseg_allspark.deploy import LogitsNet, Plain, compare_outputs, export_onnx, export_torch, make_plain
from mmseg_allspark.deploy.graphs import INPUTS, OUTPUTS, Comparison, load_graph
from mmseg_allspark.deploy.plain import WEIGHTS, choose_weights
from mmseg_allspark.deploy.publish import to_bytes, write_whole
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

SUFFIXES = {"plain": ".pth", "onnx": ".onnx", "torch-export": ".pt2"}
SIZES = ((256, 256), (192, 320), (385, 513))  # a square, a landscape, and one that no stride divides


def say(text: str) -> None:
    """Tell the user something."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def size(text: str) -> tuple[int, int]:
    """Read a size HEIGHTxWIDTH."""
    height, _, width = text.partition("x")
    return int(height), int(width)


def export_plain(plain: Plain, out: Path, which: str, checkpoint: dict) -> None:
    """Write the plain checkpoint and its config."""
    kept = {key: checkpoint["meta"][key] for key in ("epoch", "iter") if key in (checkpoint.get("meta") or {})}
    meta = kept | dict(weights=which, dataset_meta=plain.dataset_meta, cfg=plain.cfg.pretty_text)
    write_whole(to_bytes(dict(meta=meta, state_dict=plain.state_dict)), out)
    plain.cfg.dump(str(out.with_suffix(".py")))
    say(f"{out.with_suffix('.py')}: its config; " + ("needs mmseg_allspark" if plain.needs else "mmseg alone runs it"))


@torch.no_grad()
def is_same(cfg: Config, weights: dict, plain: Plain, sizes: Sequence[tuple[int, int]]) -> bool:
    """Whether the trained and the plain model give the same logits, bit by bit."""
    model_cfg = cfg.model.copy()
    model_cfg.train_cfg = model_cfg.get("train_cfg") or {}
    trained = MODELS.build(model_cfg)
    trained.load_state_dict(weights, strict=False)
    pair = [revert_sync_batchnorm(model).eval() for model in (trained, plain.model)]
    same = []
    for number, (height, width) in enumerate(sizes):
        images = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(number))
        same.append(torch.equal(*(model(images, mode="tensor") for model in pair)))
    return all(same)


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
    )


def report(rows: Sequence[Comparison], tolerance: float) -> bool:
    """Print the table; whether all rows are within the tolerance (labels: 99.9 % equal)."""
    say(f"{'input':>18}  {'largest difference':>18}  {'equal labels':>12}  {'torch':>9}  {'graph':>9}")
    good = True
    for row in rows:
        shape, times = "x".join(map(str, row.shape)), (1e3 * row.torch_seconds, 1e3 * row.graph_seconds)
        difference = "-" if row.difference is None else f"{row.difference:.1e}"
        say(f"{shape:>18}  {difference:>18}  {row.equal:12.4%}  {times[0]:6.0f} ms  {times[1]:6.0f} ms")
        good &= row.equal >= 0.999 if row.difference is None else row.difference <= tolerance
    return good


def export_graph(args: argparse.Namespace, plain: Plain, which: str) -> bool:
    """Write a graph and compare it with torch; whether they agree."""
    preprocessor = plain.cfg.model.data_preprocessor
    if plain.cfg.model.test_cfg.get("mode") == "slide":
        window = plain.cfg.model.test_cfg.crop_size
        say(f"note: test_cfg.mode='slide': the graph is one window, which the config cuts out at {window}.")
    if preprocessor.get("test_cfg"):
        say(f"note: the preprocessor pads images ({dict(preprocessor.test_cfg)}); the graph does not.")
    net = LogitsNet(plain.model, preprocessor, input_kind=args.input, output_kind=args.output)
    metadata, batch = describe(net, plain, which), args.batch_size
    say(f"input: {metadata['input']}; output: {metadata['output']}; tracing takes a minute or more ...")
    if args.format == "onnx":
        export_onnx(net, args.out, metadata)
    else:
        export_torch(net, args.out, metadata, batch_size=batch)
    inputs = [net.example((batch, 3, *shape), seed) for seed, shape in enumerate(args.sizes)]
    if args.format == "onnx":  # another batch size as well
        inputs.append(net.example((batch + 1, 3, *args.sizes[0]), len(inputs)))
    return report(compare_outputs(net, load_graph(args.out, torch.get_num_threads()), inputs), args.tolerance)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG", help="config of training, or - for the one inside the checkpoint")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint of training")
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write: .pth, .onnx or .pt2")
    parser.add_argument("--format", choices=SUFFIXES, help="default: by the suffix of OUT")
    parser.add_argument(
        "--weights", choices=WEIGHTS, help="averaged (ema) or trained weights (default: those that the run evaluated)"
    )
    parser.add_argument("--input", choices=INPUTS, default="image", help="what a graph takes (default: image)")
    parser.add_argument("--output", choices=OUTPUTS, default="logits", help="what a graph gives (default: logits)")
    parser.add_argument("--batch-size", type=int, default=1, help="of the comparison and of torch-export (default: 1)")
    parser.add_argument(
        "--sizes",
        type=size,
        nargs="+",
        default=SIZES,
        metavar="HxW",
        help="compared (default: 256x256 192x320 385x513)",
    )
    parser.add_argument("--tolerance", type=float, default=1e-4, help="of logits (default: 1e-4)")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings: nested.key=value ...")
    args = parser.parse_args(argv)
    if args.config != "-":
        require_file(parser, args.config, "config")
    require_file(parser, args.checkpoint, "checkpoint")
    formats = {suffix: name for name, suffix in SUFFIXES.items()}
    args.format = args.format or formats.get(args.out.suffix)
    if args.format is None or args.out.suffix != SUFFIXES[args.format]:
        parser.error(f"OUT {args.out}: {', '.join(f'{suffix} for {name}' for name, suffix in SUFFIXES.items())}")
    if args.out.resolve() == Path(args.checkpoint).resolve():
        parser.error(f"OUT {args.out} is the checkpoint itself")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Export what the command line asks for.

    Returns:
        Exit code: 0, or 1 if the export does not compute what the model computes.
    """
    args = parse_args(argv)
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")  # of torch's own exporter
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # what they skip, line after line
        logging.getLogger(name).setLevel(logging.ERROR)
    checkpoint = load_checkpoint(args.checkpoint, map_location="cpu")
    cfg = load_config(None if args.config == "-" else args.config, checkpoint, args.checkpoint, args.cfg_options)
    plain, which = make_plain(cfg, checkpoint, args.checkpoint, args.weights)
    weights = "averaged (ema)" if which == "ema" else "as trained (model)"
    say(f"weights: {weights}; {len(plain.state_dict)} tensors kept, {len(plain.dropped)} left out")
    say("left out: " + (", ".join(sorted({name.rpartition(".")[0] for name in plain.dropped})) or "nothing"))
    if not is_same(cfg, choose_weights(checkpoint, which, args.checkpoint)[0], plain, args.sizes):
        say("The plain model does not give the trained model's logits: nothing was written.")
        return 1
    say(f"plain model: the same logits bit by bit at {len(args.sizes)} sizes")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    good = True
    if args.format == "plain":
        export_plain(plain, args.out, which, checkpoint)
    else:
        good = export_graph(args, plain, which)
    if not good:
        args.out.unlink()
        say(f"The graph differs by more than {args.tolerance:g}: {args.out} was removed.")
        return 1
    say(f"{args.out}: {args.out.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
