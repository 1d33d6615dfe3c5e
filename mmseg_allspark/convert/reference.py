"""Checkpoints of the released AllSpark, UniMatch and UniMatch V2 implementations -> our parameter names."""

import re
from collections import defaultdict

import torch
from torch import Tensor

from mmseg_allspark.convert.unimatch_v2 import unimatch_v2_name

NECK_NAMES = {
    "map_in.0.weight": "map_in.0.weight",
    "map_in.0.bias": "map_in.0.bias",
    "attn_norm.weight": "token_norm.weight",
    "attn_norm.bias": "token_norm.bias",
    "attn.q_u.weight": "unlabeled_attention.q.weight",
    "attn.k_u.weight": "unlabeled_attention.k.weight",
    "attn.v_u.weight": "unlabeled_attention.v.weight",
    "attn.out_u.weight": "unlabeled_attention.out.weight",
    "attn.q_l2u.weight": "labeled_attention.q.weight",
    "attn.k_l2u.weight": "labeled_attention.k.weight",
    "attn.v_l2u.weight": "labeled_attention.v.weight",
    "attn.out_l2u.weight": "labeled_attention.out.weight",
    "attn.kv_queue": "memory.queue",
    "attn.queue_ptr": "memory.pointer",
    "encoder_norm.weight": "out_norm.weight",
    "encoder_norm.bias": "out_norm.bias",
    "map_out.0.weight": "map_out.0.weight",
    "map_out.0.bias": "map_out.0.bias",
}
NECK_PREFIX = "decoder.allspark."
HEAD_PREFIX = "decoder.decoder."
BLOCK_NAMES = {
    "attn.q": "attn.attn.in_proj",
    "attn.kv": "attn.attn.in_proj",
    "attn.proj": "attn.attn.out_proj",
    "attn.sr": "attn.sr",
    "attn.norm": "attn.norm",
    "norm1": "norm1",
    "norm2": "norm2",
    "mlp.fc1": "ffn.layers.0",
    "mlp.dwconv.dwconv": "ffn.layers.1",
    "mlp.fc2": "ffn.layers.4",
}
_PATCH_EMBED = re.compile(r"patch_embed(\d)\.(proj|norm)\.(weight|bias)")
_BLOCK = re.compile(r"block(\d)\.(\d+)\.(.+)\.(weight|bias)")
_STAGE_NORM = re.compile(r"norm(\d)\.(weight|bias)")
_LEVEL = re.compile(r"linear_c([1-4])\.proj\.(weight|bias)")
_FUSION = re.compile(r"linear_fuse\.(conv|bn)\.(\w+)")
_CLASSIFIER = re.compile(r"linear_pred\.(weight|bias)")
# UniMatch's DeepLabV3+, and ResNets with a deep stem in torchvision's naming (timm's resnet101s)
_DEEPLAB_NAMES = (
    (re.compile(r"conv1\.(\d\.\w+)"), r"backbone.stem.\1"),
    (re.compile(r"bn1\.(\w+)"), r"backbone.stem.7.\1"),
    (re.compile(r"(layer[1-4]\.\d+\.(?:conv[123]|bn[123]|downsample\.[01])\.\w+)"), r"backbone.\1"),
    (re.compile(r"head\.b4\.gap\.(.+)"), r"decode_head.image_pool.\1"),
    (re.compile(r"head\.b([0-3]\..+)"), r"decode_head.branches.\1"),
    (re.compile(r"(?:head\.)?((?:project|reduce|fuse)\.\d\.\w+)"), r"decode_head.\1"),
    (re.compile(r"classifier\.(weight|bias)"), r"decode_head.conv_seg.\1"),
)


def convert_reference_checkpoint(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a checkpoint of github:xmed-lab/AllSpark, UniMatch's DeepLabV3+ or UniMatch V2 to our names.

    Args:
        state_dict: Names of the release, with or without ``module.`` in front. Parts are accepted: the whole
            model, ``decoder.allspark.*`` alone, the bare neck (``map_in.0.weight`` ...) or the bare encoder
            (``patch_embed1.proj.weight`` ... of a MiT, ``conv1.0.weight`` ... of a ResNet with a deep stem, as in
            ImageNet checkpoints, whose classifier ``head.*`` or ``fc.*`` is dropped; ``blocks.0.norm1.weight`` ... of
            DINOv2). Of UniMatch V2 the pretraining's ``mask_token`` and four tensors that are never used are dropped.

    Returns:
        A new dict with names ``backbone.*``, ``neck.*`` and ``decode_head.*``.

    Raises:
        KeyError: If a name is not known; nothing is dropped silently.
        ValueError: If an encoder block lacks one half of its query / key-value projection.
    """
    converted: dict[str, Tensor] = {}
    projections: dict[str, dict[str, Tensor]] = defaultdict(dict)
    unknown = []
    for name, value in state_dict.items():
        bare = name.removeprefix("module.")
        if re.fullmatch(r"(head|fc)\.(weight|bias)", bare):
            continue
        target = _target_name(bare)
        if target is None:
            unknown.append(name)
        elif not target:
            continue
        elif "in_proj" in target:
            projections[target]["q" if ".attn.q." in bare else "kv"] = value
        else:
            converted[target] = _reshape(target, value)
    if unknown:
        raise KeyError(
            f"{len(unknown)} names of the checkpoint are of none of the known releases: {unknown[:5]}...; pass the "
            "model's state dict itself (often checkpoint['model'] or ['state_dict'])."
        )
    for target, halves in projections.items():
        if set(halves) != {"q", "kv"}:
            raise ValueError(f"{target}: the checkpoint has only {sorted(halves)} of the pair q, kv.")
        converted[target] = torch.cat([halves["q"], halves["kv"]])
    if "neck.memory.pointer" in converted:
        # The release does not count what it wrote; the pointer is the least it can have been.
        converted["neck.memory.enqueued"] = converted["neck.memory.pointer"].clone()
    return converted


def _target_name(name: str) -> str | None:
    """Our name for a name of a release, '' for one that is not needed, or None."""
    if name.startswith(HEAD_PREFIX):
        return _head_name(name.removeprefix(HEAD_PREFIX))
    neck = NECK_NAMES.get(name.removeprefix(NECK_PREFIX))
    if neck is not None:
        return f"neck.{neck}"
    bare = name.removeprefix("backbone.")
    deeplab = (pattern.sub(ours, bare) for pattern, ours in _DEEPLAB_NAMES if pattern.fullmatch(bare))
    found = _backbone_name(bare) or next(deeplab, None)
    return unimatch_v2_name(bare) if found is None else found


def _backbone_name(name: str) -> str | None:
    if match := _PATCH_EMBED.fullmatch(name):
        part = {"proj": "projection", "norm": "norm"}[match[2]]
        return f"backbone.layers.{int(match[1]) - 1}.0.{part}.{match[3]}"
    if (match := _BLOCK.fullmatch(name)) and match[3] in BLOCK_NAMES:
        stage, block, part = int(match[1]) - 1, match[2], BLOCK_NAMES[match[3]]
        joint = "_" if part.endswith("in_proj") else "."
        return f"backbone.layers.{stage}.1.{block}.{part}{joint}{match[4]}"
    if match := _STAGE_NORM.fullmatch(name):
        return f"backbone.layers.{int(match[1]) - 1}.2.{match[2]}"
    return None


def _head_name(name: str) -> str | None:
    if match := _LEVEL.fullmatch(name):
        return f"decode_head.convs.{int(match[1]) - 1}.{match[2]}"
    if match := _FUSION.fullmatch(name):
        return f"decode_head.fusion_conv.{match[1]}.{match[2]}"
    if match := _CLASSIFIER.fullmatch(name):
        return f"decode_head.conv_seg.{match[1]}"
    return None


def _reshape(target: str, value: Tensor) -> Tensor:
    """Linear layers of the release that are 1x1 convolutions here get two spatial axes."""
    is_linear = value.dim() == 2 and target.endswith("weight")
    is_conv_here = re.match(r"backbone\.layers\.\d\.1\.\d+\.ffn", target) or target.startswith("decode_head.convs.")
    return value[:, :, None, None] if is_linear and is_conv_here else value
