"""Time of a whole AllSpark training step, split into its stages, beside the step as the release computes it.

    python tools/benchmark/train_step.py                            # MiT-B5, crop 513, 2 + 2 images, PASCAL VOC
    python tools/benchmark/train_step.py --config configs/allspark/segformer_b0_camvid_1-16.py --rounds 5
    python tools/benchmark/train_step.py --only-ours --with-cp --dtype bfloat16        # does it fit, how fast

Random images in memory; how fast images come from disk is the question of loader.py. Crop and images per step are the
config's, the optimizer is always SGD and labels come from the model itself. All variants share one set of weights;
before the timing they are checked to give the same losses. On a GPU the peak of its memory is printed as well.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from _as_released import as_released
from _harness import DEVICE, ROOT, add_dtype, autocast, parser, save, say, speedup, start, time_cases, timer

# isort: split
import statistics

import torch
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_allspark.models import feature_size
from mmseg_allspark.utils.config_files import read_config
from mmseg_allspark.utils.images import input_channels

STAGES = ("preprocess", "label and forward", "backward", "update")
# name -> parts computed as the release does; each row takes one more of them away
VARIANTS = {
    "as the release": ("neck", "head", "backbone"),
    "+ exact channel attention, one path": ("head", "backbone"),
    "+ head at each level's width": ("backbone",),
    "+ backbone attention without maps (all)": (),
}
*_, OURS = VARIANTS


class Step:
    """One training step on random images, with the seconds of its stages."""

    def __init__(self, args: argparse.Namespace) -> None:
        cfg = read_config(args.config, args.cfg_options)
        init_default_scope(cfg.default_scope)
        if cfg.model.get("neck", {}).get("type") != "AllSparkNeck":
            raise SystemExit(
                f"{args.config} has no model.neck of type AllSparkNeck: give a config of configs/allspark."
            )
        cfg.model.backbone.init_cfg = None
        if not torch.cuda.is_available():
            cfg.model.decode_head.norm_cfg = dict(type="BN")
        torch.backends.cudnn.benchmark = cfg.env_cfg.get("cudnn_benchmark", False)
        if args.with_cp:
            cfg.model.backbone.with_cp = True
        torch.manual_seed(0)
        self.model = MODELS.build(cfg.model).to(DEVICE).train()
        self.dtype = args.dtype
        self.crop = args.crop or cfg.crop_size[0]
        self.labeled = args.labeled or cfg.train_dataloader.batch_size
        self.unlabeled = args.unlabeled or cfg.unlabeled_dataloader.batch_size
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
        self.seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.data = self._draw()

    def _draw(self) -> dict:
        rng = torch.Generator().manual_seed(1)

        def part(images: int, masks: bool) -> dict:
            samples = [SegDataSample(metainfo=dict(img_shape=(self.crop, self.crop))) for _ in range(images)]
            for sample in samples if masks else []:
                label = torch.randint(self.model.num_classes, (1, *feature_size(self.crop)), generator=rng)
                label = label.repeat_interleave(32, 1).repeat_interleave(32, 2)[:, : self.crop, : self.crop]
                sample.gt_sem_seg = PixelData(data=label)
            shape = (images, input_channels(self.model), self.crop, self.crop)
            inputs = list(torch.randint(256, shape, dtype=torch.uint8, generator=rng))
            views = {"weak", self.model.unlabeled_view}
            return dict(inputs=inputs if masks else dict.fromkeys(sorted(views), inputs), data_samples=samples)

        return dict(labeled=part(self.labeled, True), unlabeled=part(self.unlabeled, False))

    def run(self, name: str, parts: tuple[str, ...], update: bool = True) -> dict[str, float]:
        """Run one step with these parts as the release has them; return its losses."""
        with as_released(self.model, parts):
            marks = [timer()]
            batch = self.model.data_preprocessor(self.data, training=True)
            marks.append(timer())
            with autocast(self.dtype):
                total, losses = self.model.parse_losses(self.model(**batch, mode="loss"))
            marks.append(timer())
            total.backward()
            marks.append(timer())
        if update:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        marks.append(timer())
        for stage, begin, end in zip(STAGES, marks, marks[1:], strict=False):
            self.seconds[name][stage].append(end - begin)
        return {key: value.item() for key, value in losses.items()}


def check_same_losses(step: Step, variants: dict[str, tuple[str, ...]]) -> None:
    """Raise unless the variants give the same losses from the same state, without the attention's dropout.

    Dropout masks come from different generators; everything else random is the same.
    """
    drops = [
        module for module in step.model.modules() if hasattr(module, "attn_drop") and hasattr(module, "implementation")
    ]
    kept = [module.attn_drop for module in drops]
    state = {name: value.clone() for name, value in step.model.state_dict().items()}
    losses = {}
    for module in drops:
        module.attn_drop = 0.0
    for name, parts in variants.items():
        step.model.load_state_dict(state)
        torch.manual_seed(2)
        losses[name] = step.run(name, parts, update=False)
        say(f"losses, {name}: " + ", ".join(f"{key} {value:.6f}" for key, value in losses[name].items()))
    for module, drop in zip(drops, kept, strict=True):
        module.attn_drop = drop
    step.model.load_state_dict(state)
    step.seconds.clear()
    reference, *others = losses.values()
    tolerance = 1e-4 if step.dtype == "float32" else 3e-2
    for other in others:
        for key, value in reference.items():
            if "loss" in key and abs(other[key] - value) > tolerance * max(1.0, abs(value)):
                raise AssertionError(f"{key}: {other[key]} is not the {value} of the release's form.")


def main() -> None:
    """Measure what the command line asks for."""
    arguments = parser(__doc__.splitlines()[0], rounds=3, warmup=1)
    arguments.add_argument("--config", default=str(ROOT / "configs/allspark/segformer_b5_voc_1-8.py"))
    arguments.add_argument("--crop", type=int, help="default: the config's; must fit its neck.memory_size")
    arguments.add_argument("--labeled", type=int, help="labeled images of a step (default: the config's)")
    arguments.add_argument("--unlabeled", type=int, help="unlabeled images of a step (default: the config's)")
    arguments.add_argument("--only-ours", action="store_true", help="not the release's form, which needs more memory")
    arguments.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings of the config")
    add_dtype(arguments)
    arguments.add_argument("--with-cp", action="store_true", help="gradient checkpointing of the backbone")
    args = arguments.parse_args()
    about = start(args)
    step = Step(args)
    variants = {OURS: VARIANTS[OURS]} if args.only_ours else VARIANTS
    check_same_losses(step, variants)
    cases: dict[str, Callable[[], object]] = {
        name: lambda name=name, parts=parts: step.run(name, parts) for name, parts in variants.items()
    }
    timings = time_cases(cases, rounds=args.rounds, warmup=args.warmup)
    rows, baseline = [], next(iter(timings.values()))
    say(f"{'seconds, median':42}" + "".join(f"{stage:>14}" for stage in STAGES) + f"{'step':>9} {'±':>6}   ratio")
    for name, timing in timings.items():
        stages = {stage: statistics.median(values[args.warmup :]) for stage, values in step.seconds[name].items()}
        ratio = speedup(timing, baseline)
        rows.append(dict(name=name, seconds=timing.times, stages=stages, ratio=ratio.median, ratio_spread=ratio.iqr))
        say(
            f"{name:42}"
            + "".join(f"{stages[stage]:14.3f}" for stage in STAGES)
            + f"{timing.median:9.2f} {timing.iqr:6.2f}   {ratio.median:.2f} ± {ratio.iqr:.2f}"
        )
    if torch.cuda.is_available():
        say(f"peak of GPU memory over all variants: {torch.cuda.max_memory_allocated() / 2**30:.1f} GB")
    options = {key: getattr(step, key) for key in ("crop", "labeled", "unlabeled")}
    options |= {key: getattr(args, key) for key in ("dtype", "with_cp")} | dict(config=Path(args.config).name)
    save(args.out, about | options, rows)


if __name__ == "__main__":
    main()
