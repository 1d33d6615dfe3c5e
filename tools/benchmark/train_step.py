"""Time of a whole AllSpark training step, split into its stages, beside the step as the release computes it.

    python tools/benchmark/train_step.py                            # MiT-B5, crop 513, 2 + 2 images, PASCAL VOC
    python tools/benchmark/train_step.py --config configs/allspark/segformer_b0_camvid_1-16.py --rounds 5
    python tools/benchmark/train_step.py --only-ours --with-cp --dtype bfloat16        # does it fit, how fast

Random images in memory. Crop and images per step are the config's, the optimizer is always SGD and labels come from
the model itself. All variants share one set of weights; before the timing they are checked to give the same losses. On
a GPU the peak of its memory is printed as well.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict

from _harness import DEVICE, ROOT, autocast, draw_batch, make_parser, save, say, speedup, start, time_cases, timer

# isort: split
import torch
from _as_released import as_released
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_allspark.utils.config_files import read_config

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
        self.model, self.dtype = MODELS.build(cfg.model).to(DEVICE).train(), args.dtype
        args.crop = args.crop or cfg.crop_size[0]
        args.labeled = args.labeled or cfg.train_dataloader.batch_size
        args.unlabeled = args.unlabeled or cfg.unlabeled_dataloader.batch_size
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
        self.seconds: dict[str, list[list[float]]] = defaultdict(list)
        self.data = draw_batch(self.model, args.crop, args.labeled, args.unlabeled)

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
        self.seconds[name].append([end - begin for begin, end in zip(marks, marks[1:], strict=False)])
        return {key: value.item() for key, value in losses.items()}


def check_same_losses(step: Step, variants: dict[str, tuple[str, ...]]) -> None:
    """Raise unless the variants give the same losses from the same state, without the attention's dropout.

    Dropout masks come from different generators; everything else random is the same.
    """
    is_attention = lambda module: hasattr(module, "attn_drop") and hasattr(module, "implementation")  # noqa: E731
    kept = {module: module.attn_drop for module in step.model.modules() if is_attention(module)}
    state = {name: value.clone() for name, value in step.model.state_dict().items()}
    losses = {}
    for module in kept:
        module.attn_drop = 0.0
    for name, parts in variants.items():
        step.model.load_state_dict(state)
        torch.manual_seed(2)
        losses[name] = step.run(name, parts, update=False)
        say(f"losses, {name}: " + ", ".join(f"{key} {value:.6f}" for key, value in losses[name].items()))
    for module, drop in kept.items():
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
    parser = make_parser(__doc__, rounds=3, warmup=1)
    parser.add_argument("--config", default=str(ROOT / "configs/allspark/segformer_b5_voc_1-8.py"))
    parser.add_argument("--crop", type=int, help="default: the config's; must fit its neck.memory_size")
    parser.add_argument("--labeled", type=int, help="labeled images of a step (default: the config's)")
    parser.add_argument("--unlabeled", type=int, help="unlabeled images of a step (default: the config's)")
    parser.add_argument("--only-ours", action="store_true", help="not the release's form, which needs more memory")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings of the config")
    parser.add_argument("--with-cp", action="store_true", help="gradient checkpointing of the backbone")
    args = start(parser)
    step = Step(args)
    variants = {OURS: VARIANTS[OURS]} if args.only_ours else VARIANTS
    check_same_losses(step, variants)
    cases = {name: lambda name=name, parts=parts: step.run(name, parts) for name, parts in variants.items()}
    timings = time_cases(cases, args)
    rows, baseline = [], next(iter(timings.values()))
    say(f"{'seconds, median':42}" + "".join(f"{stage:>18}" for stage in STAGES) + f"{'step':>9} {'±':>6}   ratio")
    for name, timing in timings.items():
        stages = [statistics.median(values) for values in zip(*step.seconds[name][args.warmup :], strict=True)]
        ratio = speedup(timing, baseline)
        figures = dict(stages=dict(zip(STAGES, stages, strict=True)), ratio=ratio.median, ratio_spread=ratio.iqr)
        rows.append(dict(name=name, seconds=timing.times, **figures))
        split = "".join(f"{seconds:18.3f}" for seconds in stages)
        say(f"{name:42}{split}{timing.median:9.2f} {timing.iqr:6.2f}   {ratio.median:.2f} ± {ratio.iqr:.2f}")
    if torch.cuda.is_available():
        say(f"peak of GPU memory over all variants: {torch.cuda.max_memory_allocated() / 2**30:.1f} GB")
    save(args, rows)


if __name__ == "__main__":
    main()
