"""Time of writing the semantic memory, beside a loop over images and classes that asks the host for every number.

python tools/benchmark/enqueue.py                       # PASCAL VOC: K 21, M 512, N 289; 1, 2 and 4 images
"""

from __future__ import annotations

from unittest.mock import patch

from _as_released import enqueue_in_a_loop
from _harness import DEVICE, parser, save, say, speedup, start, time_cases

# isort: split
import torch

from mmseg_allspark.models import SemanticMemory, feature_size


def main() -> None:
    """Measure what the command line asks for."""
    arguments = parser(__doc__.splitlines()[0], rounds=100, warmup=10)
    arguments.add_argument("--classes", type=int, default=21)
    arguments.add_argument("--channels", type=int, default=512)
    arguments.add_argument("--crop", type=int, default=513)
    arguments.add_argument("--images", type=int, nargs="+", default=[1, 2, 4])
    args = arguments.parse_args()
    about, rows = start(args), []
    size, _ = feature_size(args.crop)
    say("images      loop          write     ratio")
    for images in args.images:
        torch.manual_seed(0)
        memory = SemanticMemory(args.classes, args.channels, (size, size)).to(DEVICE)
        tokens = torch.randn(images, size * size, args.channels, device=DEVICE)
        classes = torch.randint(args.classes, (images, args.channels), device=DEVICE)

        def loop(memory: SemanticMemory = memory, tokens: torch.Tensor = tokens, kinds: torch.Tensor = classes) -> None:
            with patch.object(memory, "_enqueue", lambda rows, flat: enqueue_in_a_loop(memory, rows, flat)):
                memory.write(tokens, kinds)

        cases = dict(loop=loop, write=lambda memory=memory, tokens=tokens, kinds=classes: memory.write(tokens, kinds))
        timings = time_cases(cases, rounds=args.rounds, warmup=args.warmup)
        faster = speedup(timings["write"], timings["loop"])
        rows.append(
            dict(images=images, speedup=faster.median, **{name: value.times for name, value in timings.items()})
        )
        say(
            f"{images:6} {timings['loop'].median * 1e3:9.3f} ms {timings['write'].median * 1e3:9.3f} ms"
            f"   {faster.median:5.1f} ± {faster.iqr:.1f}"
        )
    save(args.out, about | dict(classes=args.classes, channels=args.channels, crop=args.crop), rows)


if __name__ == "__main__":
    main()
