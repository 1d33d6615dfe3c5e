"""Time of a whole AllSpark training step, split into its stages, beside the step as the release computes it.

    python tools/benchmark/train_step.py                            # MiT-B5, crop 513, 2 + 2 images, PASCAL VOC
    python tools/benchmark/train_step.py --config configs/allspark/segformer_b0_camvid_1-16.py --rounds 5
    python tools/benchmark/train_step.py --only-ours --with-cp --dtype bfloat16        # does it fit, how fast

Random images in memory. Crop and images per step are the config's, the optimizer is always SGD. All variants share one
set of weights; before the timing they are checked to give the same losses. On a GPU the peak of its memory is printed
as well.
"""

from __future__ import annotations

import statistics

from _harness import ROOT, Step, make_parser, save, say, speedup, start, time_cases

# isort: split
import torch
from _as_released import as_released
from mmengine.config import DictAction

from mmseg_allspark.utils.config_files import read_config

# name -> parts computed as the release does; each row takes one more of them away
VARIANTS = {
    "as the release": ("neck", "head", "backbone"),
    "+ exact channel attention, one path": ("head", "backbone"),
    "+ head at each level's width": ("backbone",),
    "+ backbone attention without maps (all)": (),
}
*_, OURS = VARIANTS


def run(step: Step, name: str, parts: tuple[str, ...], update: bool = True) -> dict[str, float]:
    """Run one step with these parts as the release has them; return its losses."""
    with as_released(step.model, parts):
        return step.run(name, update)


def check_same_losses(step: Step, variants: dict[str, tuple[str, ...]]) -> None:
    """Raise unless the variants give the same losses from the same state, without the attention's dropout.

    Dropout masks come from different generators; everything else random is the same.
    """
    attentions = [module for module in step.model.modules() if hasattr(module, "implementation")]
    kept = {module: module.attn_drop for module in attentions if hasattr(module, "attn_drop")}
    state = {name: value.clone() for name, value in step.model.state_dict().items()}
    losses = {}
    for module in kept:
        module.attn_drop = 0.0
    for name, parts in variants.items():
        step.model.load_state_dict(state)
        torch.manual_seed(2)
        losses[name] = run(step, name, parts, update=False)
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
    cfg = read_config(args.config, args.cfg_options)
    if cfg.model.get("neck", {}).get("type") != "AllSparkNeck":
        raise SystemExit(f"{args.config} has no model.neck of type AllSparkNeck: give a config of configs/allspark.")
    torch.backends.cudnn.benchmark = cfg.env_cfg.get("cudnn_benchmark", False)
    if args.with_cp:
        cfg.model.backbone.with_cp = True
    args.crop = args.crop or cfg.crop_size[0]
    args.labeled = args.labeled or cfg.train_dataloader.batch_size
    args.unlabeled = args.unlabeled or cfg.unlabeled_dataloader.batch_size
    step = Step(cfg, args.labeled, args.unlabeled, args)
    variants = {OURS: VARIANTS[OURS]} if args.only_ours else VARIANTS
    check_same_losses(step, variants)
    cases = {name: lambda name=name, parts=parts: run(step, name, parts) for name, parts in variants.items()}
    timings = time_cases(cases, args)
    rows, baseline = [], next(iter(timings.values()))
    say(f"{'seconds, median':42}" + "".join(f"{stage:>18}" for stage in step.STAGES) + f"{'step':>9} {'±':>6}   ratio")
    for name, timing in timings.items():
        stages = [statistics.median(values) for values in zip(*step.seconds[name][args.warmup :], strict=True)]
        ratio = speedup(timing, baseline)
        figures = dict(stages=dict(zip(step.STAGES, stages, strict=True)), ratio=ratio.median, ratio_spread=ratio.iqr)
        rows.append(dict(name=name, seconds=timing.times, **figures))
        split = "".join(f"{seconds:18.3f}" for seconds in stages)
        say(f"{name:42}{split}{timing.median:9.2f} {timing.iqr:6.2f}   {ratio.median:.2f} ± {ratio.iqr:.2f}")
    if torch.cuda.is_available():
        say(f"peak of GPU memory over all variants: {torch.cuda.max_memory_allocated() / 2**30:.1f} GB")
    save(args, rows)


if __name__ == "__main__":
    main()
