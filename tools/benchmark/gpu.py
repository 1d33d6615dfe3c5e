"""What a GPU does with this project, in one run of a few minutes: exactness, times, memory, and reads by the host.

    python tools/benchmark/gpu.py --out docs/benchmarks/gpu.json
    python tools/benchmark/gpu.py --small                         # a minute on a CPU, to see that it runs

In order: what the device reaches in a matrix product and a copy; the golden cases; a training step of every method
(MobileNetV2, crop 224); AllSpark's step with MiT-B5 at crop 513; the neck; the attention over the memory, block by
block and by torch's fused kernels with padded columns; the reads by the host in a step. Times are medians over rounds
in float32, bfloat16 and float16.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from _harness import DEVICE, ROOT, Step, make_parser, save, say, start, time_cases

# isort: split
import torch
import torch.nn.functional as F
from methods import DEFAULT
from neck import build_step, count_flops
from torch.utils.flop_counter import FlopCounterMode

from mmseg_allspark.models.blockwise_attention import attend_to_projections
from mmseg_allspark.utils.config_files import read_config

DTYPES = ("float32", "bfloat16", "float16")


def device_limits(args: Namespace) -> list[dict]:
    """Time a large matrix product and a copy: what shares of the peak and of the bandwidth are taken of."""
    side, rows = 512 if args.small else 8192, []
    for dtype in DTYPES[:1] if args.small else DTYPES:
        matrix = torch.randn(side, side, device=DEVICE, dtype=getattr(torch, dtype))
        row = measure(f"product of {side} x {side} matrices, {dtype}", lambda matrix=matrix: matrix @ matrix, args)
        rows.append(row | dict(flops=2 * side**3))
    values = torch.empty(2**20 if args.small else 2**30, device=DEVICE, dtype=torch.uint8)
    rows.append(measure("copy", values.clone, args) | dict(bytes=2 * values.numel()))
    return rows


def golden_cases(args: Namespace) -> list[dict]:
    """Run ``tools/verify_reference.py`` on the device."""
    cases = sorted((ROOT / "tests/golden").glob("neck*.npz" if args.small else "*.npz"))
    command = [sys.executable, ROOT / "tools/verify_reference.py", *cases, "--device", DEVICE, "--tolerance", "1e-4"]
    done = subprocess.run(command, capture_output=True, text=True)
    say(f"{done.stdout}{done.stderr[-2000:] if done.returncode else ''}")
    return [dict(name="golden cases", passed=done.returncode == 0, output=done.stdout)]


def measure(name: str, case: Callable[[], object], args: Namespace) -> dict:
    """Time of a case, and the peak of the GPU's memory; what fails (out of memory) is a row with its error."""
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        timing = time_cases({name: case}, args)[name]
    except RuntimeError as error:
        say(f"{name:60} {str(error).splitlines()[0]}")
        return dict(name=name, error=str(error))
    peak = torch.cuda.max_memory_allocated() if DEVICE == "cuda" else None
    say(f"{name:72}{timing.median * 1e3:10.2f} ms ± {timing.iqr * 1e3:7.2f} {(peak or 0) / 2**20:9.0f} MB")
    return dict(name=name, seconds=timing.times, peak_bytes=peak)


def build(config: str, crop: int, dtype: str) -> Step:
    """Return a step of a config with 2 labeled and 2 unlabeled images."""
    return Step(read_config(ROOT / f"configs/{config}.py"), 2, 2, Namespace(crop=crop, dtype=dtype))


def training_steps(args: Namespace) -> list[dict]:
    """Time a step of every method, and AllSpark's with MiT-B5 with its share of floating-point operations."""
    rows = []
    configs = [f"{path.parent.name}/{path.stem}" for path in DEFAULT]
    configs = configs[1:3] if args.small else configs
    for dtype in DTYPES[:1] if args.small else DTYPES:
        for config in configs:
            step = build(config, 224, dtype)
            rows.append(measure(f"{config}, crop 224, {dtype}", step.run, args))
        if not args.small:
            step = build("allspark/segformer_b5_voc_1-8", 513, dtype)
            with FlopCounterMode(display=False) as counter:
                step.run()
            row = measure(f"allspark, MiT-B5, crop 513, {dtype}", step.run, args)
            rows.append(row | dict(flops=counter.get_total_flops()))
    return rows


def necks(args: Namespace) -> list[dict]:
    """Time forward and backward of the neck at VOC size, with the operations of its large products."""
    sizes = (
        dict(channels=32, heads=2, images=1, dropout=0.1)
        if args.small
        else dict(channels=512, heads=2, images=2, dropout=0.1)
    )
    classes, crop = (3, 65) if args.small else (21, 513)
    rows = []
    for dtype in DTYPES[:1] if args.small else DTYPES:
        options = Namespace(**sizes, dtype=dtype)
        for implementation in ("plain", "exact"):
            row = measure(f"neck, {implementation}, {dtype}", build_step(options, implementation, classes, crop), args)
            rows.append(row | dict(flops=count_flops(options, classes, crop)))
    return rows


def attention_over_memory(args: Namespace) -> list[dict]:
    """Time forward and backward of the labeled branch's attention: ours, and torch's on projected keys and values."""
    channels, maps, rows_of_query, columns = (32, 3, 64, 40) if args.small else (512, 21, 2048, 320)
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        draw = lambda *shape, dtype=dtype: torch.randn(*shape, device=DEVICE, dtype=dtype).div(8).requires_grad_()  # noqa: E731
        query, sources = draw(rows_of_query, columns), draw(channels, maps, columns)
        key, value = draw(2 * channels, channels), draw(2 * channels, channels)

        def ours(dropout: float, sides: tuple = (query, sources, key, value)) -> None:
            attend_to_projections(*sides, dropout=dropout).sum().backward()

        def fused(dropout: float, sides: tuple = (query, sources, key, value)) -> None:
            query, sources, *weights = sides
            keys, values = ((weight @ sources.flatten(1)).view(-1, sources.shape[2])[None, None] for weight in weights)
            F.scaled_dot_product_attention(
                query[None, None], keys, values, dropout_p=dropout, scale=1.0
            ).sum().backward()

        for dropout in (0.0, 0.1):
            for name, case in (("block by block", ours), ("torch's fused", fused)):
                label = f"attention over the memory, {name}, dropout {dropout}, {str(dtype)[6:]}"
                rows.append(measure(label, lambda case=case, dropout=dropout: case(dropout), args))
    return rows


def host_reads(args: Namespace) -> list[dict]:
    """Count by line of code where a step of each method waits for the GPU; on a CPU there is nothing to wait for."""
    if DEVICE != "cuda":
        return []
    rows = []
    for path in DEFAULT:
        method = path.parent.name
        step = build(f"{method}/{path.stem}", 224, "bfloat16")
        step.run()
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            step.run()
        torch.cuda.set_sync_debug_mode("default")
        lines = [w for w in seen if "synchroniz" in str(w.message) and not w.filename.endswith("_harness.py")]
        places = Counter(f"{Path(w.filename).name}:{w.lineno}" for w in lines)
        rows.append(dict(name=f"reads by the host, {method}", places=places))
        say(f"reads by the host in a step of {method}: {dict(places) or 'none'}")
    return rows


def main() -> None:
    """Measure everything; a part that was left out is named by ``--skip``."""
    parts = (device_limits, golden_cases, training_steps, necks, attention_over_memory, host_reads)
    parser = make_parser(__doc__, rounds=10, warmup=3)
    parser.add_argument("--small", action="store_true", help="reduced sizes")
    parser.add_argument("--skip", nargs="+", default=[], choices=[part.__name__ for part in parts])
    args = start(parser)
    save(args, [row for part in parts if part.__name__ not in args.skip for row in part(args)])


if __name__ == "__main__":
    main()
