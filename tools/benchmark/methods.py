"""Time of a training step of each method, side by side: the same images, backbone and head, each method's own passes.

    python tools/benchmark/methods.py                                       # MobileNetV2, crop 224, 4 + 4 images
    python tools/benchmark/methods.py --configs configs/*/segformer_b5_voc_1-8.py --crop 513 --dtype bfloat16

Random images in memory, the unlabeled loss at its full weight, the optimizer is SGD; a teacher is updated where the
method has one. The first config is what the others are compared with.
"""

from __future__ import annotations

from pathlib import Path

from _harness import ROOT, Step, make_parser, save, say, speedup, start, time_cases

# isort: split
from mmseg_allspark.utils.config_files import read_config

NAME = "mobilenetv2_voc-animals.py"
DEFAULT = sorted((ROOT / "configs").glob(f"*/{NAME}"), key=lambda path: (path.parent.name != "supervised", path))


def main() -> None:
    """Measure what the command line asks for."""
    parser = make_parser(__doc__, rounds=5, warmup=1)
    parser.add_argument("--configs", nargs="+", type=Path, default=DEFAULT, help=f"default: every {NAME}")
    parser.add_argument("--crop", type=int, default=224, help="must fit the necks' memory_size (default: 224)")
    parser.add_argument("--images", type=int, default=4, help="labeled, and unlabeled, of a step (default: 4)")
    args = start(parser)
    names = [f"{path.parent.name}/{path.stem}" for path in args.configs]
    steps = {n: Step(read_config(p), args.images, args.images, args) for n, p in zip(names, args.configs, strict=True)}
    timings = time_cases({name: step.run for name, step in steps.items()}, args)
    baseline, rows = next(iter(timings.values())), []
    say(f"{'step of':58}{'seconds':>9} {'±':>6}   times the first")
    for name, timing in timings.items():
        ratio = speedup(baseline, timing)
        rows.append(dict(name=name, seconds=timing.times, ratio=ratio.median, ratio_spread=ratio.iqr))
        say(f"{name:58}{timing.median:9.2f} {timing.iqr:6.2f}   {ratio.median:.2f} ± {ratio.iqr:.2f}")
    save(args, rows)


if __name__ == "__main__":
    main()
