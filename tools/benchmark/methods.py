"""Time of a training step of each method, side by side: the same images, backbone and head, each method's own passes.

    python tools/benchmark/methods.py                                       # MiT-B0, crop 257, 2 + 2 images, CamVid
    python tools/benchmark/methods.py --configs configs/*/segformer_b5_voc_1-8.py --crop 513 --dtype bfloat16

Random images in memory, the unlabeled loss at its full weight, the optimizer is SGD; a teacher is updated where the
method has one. The first config is what the others are compared with.
"""

from __future__ import annotations

from pathlib import Path

from _harness import DEVICE, ROOT, autocast, draw_batch, make_parser, save, say, speedup, start, time_cases

# isort: split
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.models import TeacherAverage
from mmseg_allspark.utils.config_files import configured_hooks, read_config

METHODS = ("supervised", "pseudo_label", "allspark", "mean_teacher", "unimatch", "guidedmix")
DEFAULT = [ROOT / f"configs/{method}/segformer_b0_camvid_1-16.py" for method in METHODS]


class Step:
    """A training step of one config on random images: as many unlabeled as labeled ones."""

    def __init__(self, path: Path, crop: int, images: int, dtype: str) -> None:
        cfg = read_config(path)
        init_default_scope(cfg.default_scope)
        cfg.model.pop("pretrained", None)
        cfg.model.backbone.pop("init_cfg", None)
        torch.manual_seed(0)
        self.model = revert_sync_batchnorm(MODELS.build(cfg.model)).to(DEVICE).train()
        semi, self.dtype = is_semi_supervised(cfg), dtype
        has_teacher = any(hook["type"] == "MeanTeacherHook" for hook in configured_hooks(cfg))
        self.teacher = TeacherAverage(self.model) if has_teacher else None
        self.labels_from_teacher = semi and cfg.train_cfg.get("pseudo_labels_from") == "ema"
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
        self.data = draw_batch(self.model, crop, images, images if semi else 0)

    def run(self) -> None:
        """Label, forward, backward, update."""
        batch = self.model.data_preprocessor(self.data, training=True)
        with autocast(self.dtype):
            if self.labels_from_teacher:
                batch["step"].labelers = (self.teacher.module,)
            total, _ = self.model.parse_losses(self.model(**batch, mode="loss"))
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.teacher is not None:
            self.teacher.update_parameters(self.model)


def main() -> None:
    """Measure what the command line asks for."""
    parser = make_parser(__doc__, rounds=5, warmup=1)
    parser.add_argument("--configs", nargs="+", type=Path, default=DEFAULT, help="default: those of CamVid 1/16")
    parser.add_argument("--crop", type=int, default=257, help="must fit the necks' memory_size (default: 257)")
    parser.add_argument("--images", type=int, default=2, help="labeled, and unlabeled, of a step (default: 2)")
    args = start(parser)
    steps = {f"{path.parent.name}/{path.stem}": Step(path, args.crop, args.images, args.dtype) for path in args.configs}
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
