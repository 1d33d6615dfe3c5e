"""Time and peak memory of the neck, the exact attention beside the plain one.

    python tools/benchmark/neck.py                           # PASCAL VOC: C 512, h 2, K 21, crop 513, 2 + 2 images
    python tools/benchmark/neck.py --classes 19 21 81 150 --out docs/benchmarks/neck_classes.json

Each row is one size: forward, forward + backward, and the memory that one such step needs on top of weights and inputs,
measured in a process of its own.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable

from _harness import (
    DEVICE,
    add_dtype,
    autocast,
    in_own_process,
    measure_extra_memory,
    parser,
    save,
    say,
    speedup,
    start,
    time_cases,
)

# isort: split
import torch

from mmseg_allspark.models import AllSparkNeck, feature_size

IMPLEMENTATIONS = ("plain", "exact")


def build_step(args: Namespace, implementation: str, classes: int, crop: int) -> Callable[..., None]:
    """Return a function that runs one training step of the neck, ``backward`` or not."""
    torch.manual_seed(0)
    size, _ = feature_size(crop)
    neck = AllSparkNeck(
        args.channels,
        classes,
        num_heads=args.heads,
        memory_size=size,
        attn_drop=args.dropout,
        implementation=implementation,
    ).to(DEVICE)
    images = 2 * args.images
    level = torch.randn(images, args.channels, size, size, device=DEVICE, requires_grad=True)
    pseudo_logits = torch.randn(args.images, classes, crop, crop, device=DEVICE)
    grad_out = torch.randn_like(level)

    def step(backward: bool = True) -> None:
        with autocast(args.dtype):
            (out,) = neck([level], num_labeled=args.images, pseudo_logits=pseudo_logits)
        if backward:
            neck.zero_grad(set_to_none=True)
            out.backward(grad_out.to(out.dtype))

    return step


def count_flops(args: Namespace, classes: int, crop: int) -> float:
    """Floating-point operations of the large matrix products of a step, those of the memory: the floor of its time.

    Forward: keys and values projected (2), affinity and weighted values (2). Backward: weights of the projections (2),
    and two products for each of the attention's two. Whatever is computed again is not counted.
    """
    tokens, rows = feature_size(crop)[0] ** 2, args.heads * args.channels
    keys = classes * rows
    projections = 4 * 2 * keys * args.channels * tokens
    return projections + 6 * 2 * args.images * rows * keys * tokens


def measure_memory(args: Namespace, implementation: str, classes: int, crop: int) -> int:
    """Extra bytes of one step, from a process of its own."""
    sizes = [f"--{key}={getattr(args, key)}" for key in ("channels", "heads", "images", "dropout", "dtype")]
    options = [*sizes, f"--classes={classes}", f"--crops={crop}", f"--memory-of={implementation}"]
    if args.threads:
        options.append(f"--threads={args.threads}")
    return in_own_process(__file__, *options)["bytes"]


def run(args: Namespace, classes: int, crop: int) -> dict:
    """Measure one size."""
    steps = {name: build_step(args, name, classes, crop) for name in args.implementations}
    forward = time_cases(
        {name: lambda step=step: step(backward=False) for name, step in steps.items()},
        rounds=args.rounds,
        warmup=args.warmup,
    )
    whole = time_cases(steps, rounds=args.rounds, warmup=args.warmup)
    del steps
    row = dict(classes=classes, crop=crop, channels=args.channels, heads=args.heads, images=args.images)
    row |= dict(dropout=args.dropout, dtype=args.dtype, flops=count_flops(args, classes, crop))
    for name, timing in whole.items():
        bytes_ = measure_memory(args, name, classes, crop)
        row[name] = dict(forward=forward[name].times, forward_backward=timing.times, extra_bytes=bytes_)
        say(
            f"{crop:5} {classes:5} {name:6} {forward[name].median * 1e3:9.1f} ms {timing.median * 1e3:9.1f} ms "
            f"± {timing.iqr * 1e3:6.1f} {bytes_ / 2**20:8.0f} MB {row['flops'] / timing.median / 1e9:7.0f} GFLOP/s"
        )
    if len(whole) == 2:
        faster = speedup(whole["exact"], whole["plain"])
        ratio = row["plain"]["extra_bytes"] / max(1, row["exact"]["extra_bytes"])
        row |= dict(speedup=faster.median, speedup_spread=faster.iqr, memory_ratio=ratio)
        say(f"            exact: {faster.median:.2f} ± {faster.iqr:.2f} times as fast, 1/{ratio:.1f} of the memory")
    return row


def main() -> None:
    """Measure what the command line asks for."""
    arguments = parser(__doc__.splitlines()[0], rounds=5)
    arguments.add_argument("--classes", type=int, nargs="+", help="classes K, several for a sweep", default=[21])
    arguments.add_argument("--crops", type=int, nargs="+", help="crop sizes, several for a sweep", default=[513])
    arguments.add_argument("--channels", type=int, default=512, help="C of the deepest level")
    arguments.add_argument("--heads", type=int, default=2, help="heads h")
    arguments.add_argument("--images", type=int, default=2, help="labeled and as many unlabeled ones")
    arguments.add_argument("--dropout", type=float, default=0.1, help="of the attention weights")
    add_dtype(arguments)
    arguments.add_argument("--implementations", nargs="+", choices=IMPLEMENTATIONS, default=IMPLEMENTATIONS)
    arguments.add_argument("--memory-of", choices=IMPLEMENTATIONS, help="print one step's extra memory as JSON and end")
    args = arguments.parse_args()
    about = start(args)
    if args.memory_of:
        small = Namespace(**vars(args) | dict(channels=32))
        warm = build_step(small, args.memory_of, classes=3, crop=65)
        case = build_step(args, args.memory_of, args.classes[0], args.crops[0])
        print(json.dumps(dict(bytes=measure_extra_memory(case, warm))))
        return
    say(" crop  classes          forward     forward + backward    extra memory   rate of the products counted")
    save(args.out, about, [run(args, classes, crop) for crop in args.crops for classes in args.classes])


if __name__ == "__main__":
    main()
