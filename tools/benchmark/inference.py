"""What AllSparkNeck costs at inference: SegFormer with the neck, without it, and with it as the release computes it.

    python tools/benchmark/inference.py                                      # MiT-B2, crop 513, one image, float32
    python tools/benchmark/inference.py --backbone mit-b5 --dtype float16 --out docs/benchmarks/inference.json

Random weights, one backbone and one head shared by all three cases. The release repeats the deepest feature to a batch
twice as large, computes both branches of the neck and throws one half away. Slowdowns are over the case without a neck,
taken within rounds.
"""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Callable

from _harness import DEVICE, ROOT, autocast, make_parser, save, say, speedup, start, time_cases

# isort: split
import torch
from _as_released import as_released
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmseg_allspark.models import feature_size

# name -> base config, layers per stage where they are not the base's
BACKBONES = {
    "mit-b0": ("segformer_mit-b0", None),
    "mit-b2": ("segformer_mit-b5", [3, 4, 6, 3]),
    "mit-b4": ("segformer_mit-b5", [3, 8, 27, 3]),
    "mit-b5": ("segformer_mit-b5", None),
}
WITHOUT, WITH, RELEASED = "without", "with", "doubled"


def build_models(args: Namespace) -> dict[str, EncoderDecoder]:
    """Return case -> model in evaluation, all with the very same backbone and head."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    base, num_layers = BACKBONES[args.backbone]
    cfg = Config.fromfile(ROOT / f"configs/_base_/models/{base}.py").model
    cfg.backbone.update(init_cfg=None, num_layers=num_layers or cfg.backbone.num_layers)
    # SyncBN is BN in evaluation, but needs a GPU
    cfg.decode_head.update(num_classes=args.classes, norm_cfg=dict(type="BN"))
    plain, channels = MODELS.build(cfg), cfg.decode_head.in_channels[-1]
    size = feature_size(args.crop)
    neck = MODELS.build(dict(type="AllSparkNeck", in_channels=channels, num_classes=args.classes, memory_size=size))
    models = {WITHOUT: plain}
    for name in (WITH, RELEASED):
        models[name] = copy.copy(plain)  # shares everything but the dict of modules
        models[name]._modules = plain._modules | dict(neck=copy.deepcopy(neck))
    return {name: model.to(DEVICE).eval() for name, model in models.items()}


def make_cases(args: Namespace, models: dict[str, EncoderDecoder]) -> dict[str, Callable[[], object]]:
    """Return case -> function that runs the model on a batch of random images."""
    images = torch.randn(args.batch, 3, *args.crop, device=DEVICE)

    @torch.inference_mode()
    def infer(model: EncoderDecoder) -> object:
        with autocast(args.dtype):
            return model(images, data_samples=None, mode=args.mode)

    return {name: lambda model=model: infer(model) for name, model in models.items()}


def count_flops(case: Callable[[], object]) -> int:
    """Floating-point operations of products and convolutions, two for a multiplication with addition."""
    # fused attention on the CPU is not counted
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        case()
    return counter.get_total_flops()


def main() -> None:
    """Measure what the command line asks for."""
    parser = make_parser(__doc__, rounds=10)
    parser.add_argument("--backbone", choices=BACKBONES, default="mit-b2")
    parser.add_argument("--crop", type=int, nargs=2, metavar=("H", "W"), default=[513, 513])
    parser.add_argument("--batch", type=int, default=1, help="images at once")
    parser.add_argument("--classes", type=int, default=21)
    what = "tensor: the network; predict: also logits at image size and labels"
    parser.add_argument("--mode", choices=["tensor", "predict"], default="tensor", help=what)
    args = start(parser)
    models, rows = build_models(args), []
    cases = make_cases(args, models)
    height, width = args.crop
    say(f"{args.backbone}, {args.batch} image(s) of {height}x{width}, {args.dtype}, mode {args.mode}")
    with as_released(models[RELEASED], parts=("neck",)):
        flops = {name: count_flops(case) for name, case in cases.items()}
        timings = time_cases(cases, args)
    for name, timing in timings.items():
        ratio = speedup(timings[WITHOUT], timing)  # time with the neck over time without
        percent, spread = 100 * (ratio.median - 1), 100 * ratio.iqr
        figures = dict(flops=flops[name], slowdown_percent=percent, slowdown_spread=spread)
        rows.append(dict(case=name, seconds=timing.times, **figures))
        text = "" if name == WITHOUT else f"  {percent:+6.1f} % ± {spread:.1f}"
        say(f"{name:8} {timing.median * 1e3:9.1f} ms ± {timing.iqr * 1e3:6.1f}  {flops[name] / 1e9:8.1f} GFLOP{text}")
    save(args, rows)


if __name__ == "__main__":
    main()
