"""Time of writing the semantic memory, beside a loop over images and classes that asks the host for every number.

python tools/benchmark/enqueue.py                       # PASCAL VOC: K 21, M 512, N 289; 1, 2 and 4 images
"""

from __future__ import annotations

from unittest.mock import patch

from _harness import DEVICE, make_parser, save, say, speedup, start, time_cases

# isort: split
import torch
from _as_released import enqueue_in_a_loop

from mmseg_allspark.models import SemanticMemory, feature_size


def main() -> None:
    """Measure what the command line asks for."""
    parser = make_parser(__doc__, rounds=100, warmup=10)
    parser.add_argument("--classes", type=int, default=21)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--crop", type=int, default=513)
    parser.add_argument("--images", type=int, nargs="+", default=[1, 2, 4])
    args, rows = start(parser), []
    size, _ = feature_size(args.crop)
    say("images      loop          write     ratio")
    for images in args.images:
        torch.manual_seed(0)
        memory = SemanticMemory(args.classes, args.channels, (size, size)).to(DEVICE)
        tokens = torch.randn(images, size * size, args.channels, device=DEVICE)
        classes = torch.randint(args.classes, (images, args.channels), device=DEVICE)

        def write(
            memory: SemanticMemory = memory, tokens: torch.Tensor = tokens, kinds: torch.Tensor = classes
        ) -> None:
            memory.write(tokens, kinds)

        def loop(memory: SemanticMemory = memory, write: object = write) -> None:
            with patch.object(memory, "_enqueue", lambda rows, flat: enqueue_in_a_loop(memory, rows, flat)):
                write()

        timings = time_cases(dict(loop=loop, write=write), args)
        faster = speedup(timings["write"], timings["loop"])
        seconds = {name: timing.times for name, timing in timings.items()}
        rows.append(dict(images=images, speedup=faster.median, **seconds))
        milliseconds = " ".join(f"{timing.median * 1e3:9.3f} ms" for timing in timings.values())
        say(f"{images:6} {milliseconds}   {faster.median:5.1f} ± {faster.iqr:.1f}")
    save(args, rows)


if __name__ == "__main__":
    main()
