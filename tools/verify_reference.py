"""Check our code against numbers of the released AllSpark implementation.

    python tools/verify_reference.py ../shared/golden/*.npz

Every case (neck, model, baseline, manifest; see the README beside the golden files) is run through the
registered components in float32 with all dropout off. Per quantity the largest difference, relative to the
quantity's largest value, is printed; the exit code is 1 if one is past its tolerance.
"""

import argparse
import json
import sys
import zlib
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import mmseg_allspark  # noqa: F401

# isort: split
import numpy as np
import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_allspark.convert import convert_reference_checkpoint
from mmseg_allspark.methods import SemiBatch, Step

CONSTANT = {"running_mean": 0.0, "running_var": 1.0, "num_batches_tracked": 0, "queue_ptr": 0}


class Differences:
    """Largest relative difference of each quantity."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = defaultdict(float)

    def add(self, quantity: str, ours: Tensor, reference: np.ndarray) -> None:
        """Compare one tensor; a wrong shape or a NaN counts as infinitely different."""
        expected = torch.as_tensor(reference, dtype=torch.float64)
        ours = ours.detach().double()
        if ours.shape != expected.shape:
            difference = float("inf")
        else:
            scale = expected.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
            difference = float(((ours - expected).abs().max() / scale).nan_to_num(nan=float("inf")))
        self.largest[quantity] = max(self.largest[quantity], difference)


class Case:
    """One golden file: its arrays and, stored or generated, the reference's initial weights."""

    def __init__(self, path: Path) -> None:
        self.arrays = dict(np.load(path))
        self.meta = json.loads(str(self.arrays.pop("meta", "{}")))
        manifest = self.arrays.pop("manifest", None)
        manifest = self.meta.get("manifest") if manifest is None else str(manifest)
        manifest = json.loads(manifest) if isinstance(manifest, str) else manifest
        if manifest:
            self.weights = {name: self._weight(name, shape) for name, shape in manifest.items()}
        else:
            self.weights = self.part("init/")
        if not self.weights:
            raise ValueError(f"{path}: no 'init/<name>' weights and no 'manifest'; not a golden case.")

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Arrays whose name starts with ``prefix``, without it."""
        return {k.removeprefix(prefix): torch.as_tensor(v) for k, v in self.arrays.items() if k.startswith(prefix)}

    def tensor(self, name: str) -> Tensor:
        """One array as a tensor."""
        return torch.as_tensor(self.arrays[name])

    def image(self, height: int, width: int) -> Tensor:
        """The stored or generated image (1, 3, height, width)."""
        stored = self.arrays.get(f"eval/{height}x{width}/image")
        return self._draw(f"img/{height}/{width}", (1, 3, height, width)) if stored is None else torch.as_tensor(stored)

    def _draw(self, key: str, shape: tuple[int, ...]) -> Tensor:
        rng = np.random.default_rng(zlib.crc32(f"{self.meta['seed']}/{key}".encode()))
        return torch.as_tensor(rng.standard_normal(shape).astype(np.float32))

    def _weight(self, name: str, shape: list[int]) -> Tensor:
        """The recipe of the golden README for weight ``name``."""
        leaf = name.rsplit(".", 1)[-1]
        if leaf in CONSTANT:
            kind = torch.float32 if leaf.startswith("running") else torch.int64
            return torch.full(tuple(shape), CONSTANT[leaf], dtype=kind)
        value = self._draw(name, tuple(shape))
        if leaf == "kv_queue":
            return value
        if len(shape) >= 2:
            return value * np.float32(1.0 / np.sqrt(np.prod(shape[1:])))
        return 1 + 0.1 * value if leaf == "weight" else 0.1 * value


def neck_config(weights: dict[str, Tensor]) -> dict:
    """Config of the neck that has the converted weights ``weights`` (names ``neck.*``)."""
    classes, channels, tokens = weights["neck.memory.queue"].shape
    side = round(tokens**0.5)
    return dict(
        type="AllSparkNeck",
        in_channels=channels,
        num_classes=classes,
        num_heads=weights["neck.labeled_attention.q.weight"].shape[0] // channels,
        memory_size=(side, side),
        attn_drop=0.0,
        proj_drop=0.0,
    )


def build_model(weights: dict[str, Tensor], loss: dict) -> nn.Module:
    """Build the model that has the converted weights and load them; their shapes give its sizes."""
    widths = [len(weights[f"backbone.layers.{stage}.2.weight"]) for stage in range(4)]
    first_norms = [name for name in weights if name.startswith("backbone") and ".norm1.weight" in name]
    blocks = {tuple(map(int, name.split(".")[2:5:2])) for name in first_norms}
    channels, _ = weights["decode_head.fusion_conv.conv.weight"].shape[:2]
    reductions = [weights.get(f"backbone.layers.{stage}.1.0.attn.sr.weight") for stage in range(4)]
    model = MODELS.build(
        dict(
            type="SemiSegmentor",
            pseudo_label_keys="batch",
            data_preprocessor=dict(type="SegDataPreProcessor"),
            backbone=dict(
                type="ReferenceMixVisionTransformer",
                embed_dims=widths[0],
                num_heads=[width // widths[0] for width in widths],
                num_layers=[sum(stage == s for stage, _ in blocks) for s in range(4)],
                sr_ratios=[1 if kernel is None else kernel.shape[-1] for kernel in reductions],
                drop_path_rate=0.0,
            ),
            neck=neck_config(weights) if "neck.memory.queue" in weights else None,
            decode_head=dict(
                type="SegformerMLPHead",
                in_channels=widths,
                in_index=[0, 1, 2, 3],
                channels=channels,
                num_classes=len(weights["decode_head.conv_seg.weight"]),
                dropout_ratio=0.0,
                norm_cfg=dict(type="BN"),
                loss_decode=loss,
            ),
            train_cfg=dict(),
            test_cfg=dict(mode="whole"),
        )
    )
    model.load_state_dict(weights, strict=True)
    return model


def verify_neck(case: Case, diff: Differences) -> None:
    """Steps of the neck alone: outputs, all gradients, memory, and both inference forms."""
    weights = convert_reference_checkpoint(case.weights)
    neck = MODELS.build(neck_config(weights))
    neck.load_state_dict({name.removeprefix("neck."): value for name, value in weights.items()}, strict=True)
    for step in range(case.meta["steps"]):
        stored = case.part(f"step{step}/")
        feats = stored["feats"].clone().requires_grad_()
        neck.zero_grad()
        (out,) = neck(
            [feats],
            num_labeled=case.meta["batch"],
            pseudo_logits=stored["pseudo_logits"],
            use_memory=step >= case.meta["memory_from_step"],
        )
        (out * stored["grad_out"]).sum().backward()
        diff.add("output", out, stored["out"])
        diff.add("gradient of features", feats.grad, stored["grad_feats"])
        parameters = dict(neck.named_parameters())
        for name, gradient in convert_reference_checkpoint(case.part(f"step{step}/grad/")).items():
            diff.add("gradient of weights", parameters[name.removeprefix("neck.")].grad, gradient)
        diff.add("queue", neck.memory.queue, stored["queue"])
        diff.add("pointer", neck.memory.pointer, stored["queue_ptr"])
    neck.eval()
    with torch.no_grad():
        evaluation = case.part("eval/")
        for keys, name in (("image", "out_each_alone"), ("batch", "out_as_batch")):
            if name in evaluation:
                (out,) = neck([evaluation["feats"]], inference_keys=keys)
                diff.add(f"inference, keys={keys}", out, evaluation[name])


def verify_inference(case: Case, model: nn.Module, diff: Differences) -> None:
    """Logits of every stored evaluation size."""
    model.eval()
    for name in [name for name in case.arrays if name.startswith("eval/") and name.endswith("/logits")]:
        height, width = map(int, name.split("/")[1].split("x"))
        with torch.no_grad():
            logits = model.encode_decode(case.image(height, width), [dict(img_shape=(height, width))])
        diff.add("inference logits", logits, case.arrays[name])


def verify_training(case: Case, model: nn.Module, diff: Differences) -> None:
    """Training steps, where the case has any, through the model's own ``train_step`` with torch's SGD."""
    meta, steps = case.meta, sum(name.endswith("/loss_labeled") for name in case.arrays)
    if steps == 0:
        return
    groups = [
        dict(params=model.backbone.parameters(), lr=meta["lr"]),
        dict(
            params=[p for n, p in model.named_parameters() if not n.startswith("backbone.")],
            lr=meta["lr"] * meta["lr_multi"],
        ),
    ]
    optimizer = torch.optim.SGD(groups, lr=meta["lr"], momentum=0.9, weight_decay=1e-4)
    first_rates = [group["lr"] for group in groups]
    seen: dict[str, Tensor] = {}
    model.decode_head.register_forward_hook(lambda _, __, logits: seen.update(logits=logits))
    model.train()
    for step in range(steps):
        stored = case.part(f"train/step{step}/")
        labels = stored["labels"].long()
        samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
        inputs = dict(labeled=stored["labeled_images"], weak=stored["unlabeled_images"])
        now = Step(options=dict(use_memory=step >= meta["memory_from_step"]))
        batch = SemiBatch(inputs=inputs, data_samples=dict(labeled=samples, unlabeled=[]), step=now)
        losses = model.train_step(batch, OptimWrapper(optimizer))
        diff.add("pseudo logits", now.record["pseudo"].logits, stored["pseudo_logits"])
        diff.add("training logits", model.upsample(seen["logits"], labels.shape[1:]), stored["logits"])
        sup = next(value for name, value in losses.items() if name.startswith("sup.decode.loss"))
        diff.add("labeled loss", sup / model.sup_weight, stored["loss_labeled"])
        diff.add("unlabeled loss", losses["unsup.decode.loss_ce"] / model.unsup_weight, stored["loss_unlabeled"])
        for group, rate in zip(optimizer.param_groups, first_rates, strict=True):
            group["lr"] = rate * (1 - step / meta["total_iters"]) ** 0.9
    state = model.state_dict()
    for name, value in convert_reference_checkpoint(case.part("final/")).items():
        if name != "neck.memory.enqueued":
            diff.add("final weights", state[name], value)


def loss_config(meta: dict) -> dict:
    """Supervised loss of a case: OHEM when its parameters are in ``meta``, else cross-entropy."""
    ohem = {k: v for k, v in meta.items() if "ohem" in k.lower() and v}
    if not ohem:
        return dict(type="CrossEntropyLoss", avg_non_ignore=True)
    flat = {key: value for part in ohem.values() if isinstance(part, dict) for key, value in part.items()} or ohem
    thresh = next(value for key, value in flat.items() if "thres" in key)
    min_kept = next(value for key, value in flat.items() if "kept" in key)
    return dict(type="OhemLoss", thresh=thresh, min_kept=min_kept)


def verify(path: Path, tolerance: float, final_tolerance: float) -> bool:
    """Run one golden case and print its table; True when all is within tolerance."""
    case, diff = Case(path), Differences()
    if "step0/feats" in case.arrays:
        verify_neck(case, diff)
    else:
        model = build_model(convert_reference_checkpoint(case.weights), loss_config(case.meta))
        verify_inference(case, model, diff)
        verify_training(case, model, diff)
    if not diff.largest:
        print(f"{path.name}: nothing was compared")
        return False
    print(path.name)
    within = True
    for quantity, difference in diff.largest.items():
        limit = final_tolerance if quantity == "final weights" else tolerance
        within &= difference <= limit
        print(f"  {quantity:28s} {difference:9.2e}  {'ok' if difference <= limit else f'PAST {limit:.0e}'}")
    return within


def main() -> int:
    """Verify all cases of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", type=Path, metavar="CASE.npz")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="relative to a quantity's largest value")
    parser.add_argument("--final-tolerance", type=float, default=1e-4, help="the same for the final weights")
    parser.add_argument("--device", default="cpu", help="where ours is computed (default: %(default)s)")
    args = parser.parse_args()
    torch.set_default_device(args.device)
    torch.backends.cudnn.allow_tf32 = False  # float32 as in the golden cases
    for path in args.cases:
        if not path.is_file():
            parser.error(f"golden case not found: {path}")
    results = [verify(path, args.tolerance, args.final_tolerance) for path in args.cases]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
