"""Does data loading keep up? Seconds of each transform, batches per second of the loaders, workers a step needs.

    python tools/benchmark/loader.py --synthetic                      # PASCAL VOC's pipelines, no data needed
    python tools/benchmark/loader.py CONFIG --workers 0 4 8 --step-seconds 0.5 --out docs/benchmarks/loader.json

The loaders are those of PseudoLabelLoop; 'both' is one labeled and one unlabeled batch, as a training step takes them,
with as many workers each. Files are read again and again, so they come from the memory of the operating system: the
first epoch from a slow disk is slower.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

from _harness import ROOT, Measurement, measurement, parser, save, say, start, time_once

# isort: split
import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmengine.utils.dl_utils import set_multi_processing
from mmseg.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import mmseg_allspark  # noqa: F401
from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.engine.stream import build_stream
from mmseg_allspark.utils.config_files import read_config

SEED = 0
CONFIG = "configs/allspark/segformer_b5_voc_1-8.py"
LOADERS = dict(labeled="train_dataloader", unlabeled="unlabeled_dataloader")
STREAMS = dict(labeled=("labeled",), unlabeled=("unlabeled",), both=("labeled", "unlabeled"))


def write_images(folder: Path, number: int, size: tuple[int, int], classes: int) -> None:
    """Write ``img/<i>.jpg``, about as many bytes as a photo of that (width, height), and ``mask/<i>.png``."""
    rng = np.random.default_rng(SEED)
    for kind in ("img", "mask"):
        (folder / kind).mkdir()
    coarse = (max(1, size[1] // 16), max(1, size[0] // 16))
    for index in range(number):
        blobs = Image.fromarray(rng.integers(0, 256, (*coarse, 3), dtype=np.uint8)).resize(size, Image.BICUBIC)
        noisy = np.asarray(blobs) + rng.normal(0, 8, (size[1], size[0], 1))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"img/{index:04}.jpg", quality=90)
        labels = Image.fromarray(rng.integers(0, classes, coarse, dtype=np.uint8))
        labels.resize(size, Image.NEAREST).save(folder / f"mask/{index:04}.png")


def use_images(cfg: Config, folder: Path, classes: int) -> None:
    """Point both training sets to the images of ``write_images``; the pipelines stay."""
    for key in LOADERS.values():
        pipeline = cfg[key].dataset.pipeline
        cfg[key].dataset = ConfigDict(
            type="BaseSegDataset",
            metainfo=dict(classes=[f"class {index}" for index in range(classes)]),
            data_prefix=dict(img_path=str(folder / "img"), seg_map_path=str(folder / "mask")),
            # mmseg's LoadAnnotations insists that the data set says the same
            reduce_zero_label=any(step.get("reduce_zero_label") for step in pipeline),
            pipeline=pipeline,
        )


def time_transforms(dataset: Dataset, images: int, warmup: int) -> dict[str, list[float]]:
    """Seconds of every step of a data set's pipeline, image by image."""
    steps = dataset.pipeline.transforms
    seconds = {f"{number} {type(step).__name__}": [] for number, step in enumerate(steps)}
    done = 0
    for index in np.random.default_rng(SEED).integers(0, len(dataset), 10 * (images + warmup)).tolist():
        results, row = dataset.get_data_info(index), []
        for step in steps:
            begin = time.perf_counter()
            results = step(results)
            row.append(time.perf_counter() - begin)
            if results is None:  # a transform refused the image: the data set takes another one
                break
        else:
            done += 1
            for values, value in zip(seconds.values(), row, strict=True):
                values += [value] if done > warmup else []
        if done == images + warmup:
            return seconds
    raise RuntimeError(f"Only {done} of {images + warmup} images pass the pipeline of {type(dataset).__name__}.")


def transform_rows(cfg: Config, args: Namespace) -> list[dict]:
    """Measure and print the transforms of both pipelines."""
    rows = []
    for stream, key in LOADERS.items():
        seconds = time_transforms(DATASETS.build(cfg[key].dataset), args.images, args.warmup)
        whole = [sum(values) for values in zip(*seconds.values(), strict=True)]
        say(f"{stream} pipeline      median ms   mean ms")
        for name, values in (seconds | dict(whole=whole)).items():
            say(f"  {name:24} {statistics.median(values) * 1e3:6.2f} {statistics.mean(values) * 1e3:9.2f}")
            rows.append(dict(measure="transform", stream=stream, name=name, seconds=values))
    return rows


def build_loader(cfg: Config, key: str, workers: int) -> DataLoader:
    """Build a loader with PseudoLabelLoop's own code; only the number of workers is changed."""
    loader = cfg[key].copy()
    loader.update(num_workers=workers, persistent_workers=False)  # the stream has no second pass
    if workers == 0:
        loader.pop("prefetch_factor", None)
    runner = SimpleNamespace(seed=SEED, _randomness_cfg={}, build_dataloader=Runner.build_dataloader)
    return build_stream(runner, loader, key)


def time_stream(loaders: list[DataLoader], workers: int, args: Namespace) -> Measurement:
    """Seconds of ``args.batches`` batches of each loader, several times without a pause, workers under full load."""
    set_random_seed(SEED)
    batches = [iter(loader) for loader in loaders]  # workers live until the end of this function

    def take(number: int = args.batches) -> None:
        for _ in range(number):
            for iterator in batches:
                next(iterator)

    prefetched = max(loader.prefetch_factor or 0 for loader in loaders) * workers
    take(args.warmup * args.batches + prefetched)
    return measurement([time_once(take) for _ in range(args.rounds)])


def loader_row(cfg: Config, stream: str, workers: int, args: Namespace) -> dict:
    """Measure and print one stream with one number of workers."""
    keys = [LOADERS[part] for part in STREAMS[stream]]
    timing = time_stream([build_loader(cfg, key, workers) for key in keys], workers, args)
    per_second = args.batches / timing.median
    images = sum(cfg[key].batch_size for key in keys)
    row = dict(measure="loader", stream=stream, workers=workers, images_per_batch=images, batches=args.batches)
    row |= dict(seconds=timing.times, batches_per_second=per_second, images_per_second=images * per_second)
    text = ""
    if workers == 0:  # nothing is read while the model computes
        text = f"  adds {1 / per_second:.3f} s to every step"
    elif args.step_seconds:
        text = "  keeps up" if per_second * args.step_seconds >= 1 else "  too slow"
    spread = timing.iqr / timing.median * 100
    say(f"{stream:10} {workers:7} {per_second:10.2f} ± {spread:3.0f} % {images * per_second:9.1f}{text}")
    return row


def say_needed(cfg: Config, rows: list[dict], step_seconds: float) -> None:
    """Print how many workers a step of that length needs, by the mean seconds of an image."""
    for row in rows:
        if row.get("name") == "whole":
            batch = cfg[LOADERS[row["stream"]]].batch_size * statistics.mean(row["seconds"])
            needed = math.ceil(batch / step_seconds)
            say(f"{row['stream']}: {batch:.3f} s of a core per batch; workers for a step of {step_seconds} s: {needed}")


def read_semi_config(args: Namespace) -> Config:
    """Read the config.

    Raises:
        ValueError: If it is not semi-supervised.
    """
    cfg = read_config(args.config)
    if not is_semi_supervised(cfg) or "unlabeled_dataloader" not in cfg:
        raise ValueError(
            f"{args.config} is not semi-supervised: train_cfg of type PseudoLabelLoop and unlabeled_dataloader are "
            "needed, see configs/allspark."
        )
    init_default_scope(cfg.default_scope)
    set_multi_processing(**cfg.get("env_cfg", {}).get("mp_cfg", {}))
    return cfg


def main() -> None:
    """Measure what the command line asks for."""
    arguments = parser(__doc__.splitlines()[0], rounds=5)
    arguments.add_argument("config", nargs="?", default=str(ROOT / CONFIG), help=f"default: {CONFIG}")
    arguments.add_argument("--synthetic", action="store_true", help="random images in place of the config's data")
    arguments.add_argument("--number", type=int, default=64, help="of synthetic images (default: %(default)s)")
    arguments.add_argument("--size", type=int, nargs=2, metavar=("W", "H"), default=[500, 375], help="of those")
    arguments.add_argument("--images", type=int, default=100, help="to time transforms on (default: %(default)s)")
    arguments.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4], help="of each loader")
    arguments.add_argument("--batches", type=int, default=10, help="in a round (default: %(default)s)")
    arguments.add_argument("--step-seconds", type=float, help="of a training step, to compare with")
    args = arguments.parse_args()
    about = start(args)
    cfg = read_semi_config(args)
    with tempfile.TemporaryDirectory() as folder:
        if args.synthetic:
            classes = cfg.model.decode_head.num_classes
            write_images(Path(folder), args.number, tuple(args.size), classes)
            use_images(cfg, Path(folder), classes)
        set_random_seed(SEED)
        rows = transform_rows(cfg, args)
        say("loader     workers  batches/s         images/s")
        rows += [loader_row(cfg, stream, workers, args) for stream in STREAMS for workers in args.workers]
    if args.step_seconds:
        say_needed(cfg, rows, args.step_seconds)
    save(args.out, about, rows)


if __name__ == "__main__":
    main()
