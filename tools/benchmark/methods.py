"""Time of a training step of each method, side by side: the same images, backbone and head, each method's own passes.

    python tools/benchmark/methods.py                                       # MiT-B0, crop 257, 2 + 2 images, CamVid
    python tools/benchmark/methods.py --configs configs/*/segformer_b5_voc_1-8.py --crop 513 --dtype bfloat16

Random images in memory, the unlabeled loss at its full weight, the optimizer is SGD; a teacher is updated where the
method has one. The first config is what the others are compared with.
"""

from __future__ import annotations

from pathlib import Path

from _harness import DEVICE, ROOT, add_dtype, autocast, parser, save, say, speedup, start, time_cases

# isort: split
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.models import TeacherAverage, feature_size
from mmseg_allspark.utils.config_files import configured_hooks, read_config
from mmseg_allspark.utils.images import input_channels

DEFAULT = [
    ROOT / "configs" / f"{name}.py"
    for name in (
        "supervised/segformer_b0_camvid_1-16",
        "pseudo_label/segformer_b0_camvid_1-16",
        "allspark/segformer_b0_camvid_1-16",
        "mean_teacher/segformer_b0_camvid_1-16",
        "unimatch/segformer_b0_camvid_1-16",
        "guidedmix/segformer_b0_camvid_1-16",
    )
]


class Step:
    """A training step of one config on random images.

    Args:
        path: The config.
        crop: Side of the images.
        images: Labeled ones of a step, and as many unlabeled ones.
        dtype: As ``--dtype``.
    """

    def __init__(self, path: Path, crop: int, images: int, dtype: str) -> None:
        cfg = read_config(path)
        init_default_scope(cfg.default_scope)
        cfg.model.pop("pretrained", None)
        cfg.model.backbone.pop("init_cfg", None)
        torch.manual_seed(0)
        self.model = revert_sync_batchnorm(MODELS.build(cfg.model)).to(DEVICE).train()
        self.semi, self.dtype = is_semi_supervised(cfg), dtype
        has_teacher = any(hook["type"] == "MeanTeacherHook" for hook in configured_hooks(cfg))
        self.teacher = TeacherAverage(self.model) if has_teacher else None
        self.labels_from_teacher = self.semi and cfg.train_cfg.get("pseudo_labels_from") == "ema"
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
        self.data = self._draw(crop, images)

    def _draw(self, crop: int, images: int) -> dict:
        rng = torch.Generator().manual_seed(1)

        def batch() -> tuple[list[torch.Tensor], list[SegDataSample]]:
            samples = [SegDataSample(metainfo=dict(img_shape=(crop, crop))) for _ in range(images)]
            for sample in samples:
                label = torch.randint(self.model.num_classes, (1, *feature_size(crop)), generator=rng)
                label = label.repeat_interleave(32, 1).repeat_interleave(32, 2)[:, :crop, :crop]
                sample.gt_sem_seg = PixelData(data=label)
                sample.valid = PixelData(data=torch.ones(1, crop, crop, dtype=torch.bool))
            shape = (images, input_channels(self.model), crop, crop)
            return list(torch.randint(256, shape, dtype=torch.uint8, generator=rng)), samples

        inputs, samples = batch()
        labeled = dict(inputs=inputs, data_samples=samples)
        if not self.semi:
            return labeled
        views = {"weak", *self.model.needs.views}
        inputs, samples = batch()
        return dict(labeled=labeled, unlabeled=dict(inputs=dict.fromkeys(sorted(views), inputs), data_samples=samples))

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
    arguments = parser(__doc__.splitlines()[0], rounds=5, warmup=1)
    arguments.add_argument("--configs", nargs="+", type=Path, default=DEFAULT, help="default: those of CamVid 1/16")
    arguments.add_argument("--crop", type=int, default=257, help="must fit the necks' memory_size (default: 257)")
    arguments.add_argument("--images", type=int, default=2, help="labeled, and unlabeled, of a step (default: 2)")
    add_dtype(arguments)
    args = arguments.parse_args()
    about = start(args)
    steps = {f"{path.parent.name}/{path.stem}": Step(path, args.crop, args.images, args.dtype) for path in args.configs}
    timings = time_cases({name: step.run for name, step in steps.items()}, rounds=args.rounds, warmup=args.warmup)
    baseline, rows = next(iter(timings.values())), []
    say(f"{'step of':58}{'seconds':>9} {'±':>6}   times the first")
    for name, timing in timings.items():
        ratio = speedup(baseline, timing)
        rows.append(dict(name=name, seconds=timing.times, ratio=ratio.median, ratio_spread=ratio.iqr))
        say(f"{name:58}{timing.median:9.2f} {timing.iqr:6.2f}   {ratio.median:.2f} ± {ratio.iqr:.2f}")
    save(args.out, about | dict(crop=args.crop, images=args.images, dtype=args.dtype), rows)


if __name__ == "__main__":
    main()
