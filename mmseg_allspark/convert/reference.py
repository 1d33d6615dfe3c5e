"""Checkpoints of the released AllSpark, UniMatch and UniMatch V2 implementations -> our parameter names."""

import re
from collections import defaultdict

import torch
from torch import Tensor

NECK_PREFIX = "decoder.allspark."
_LEAF = r"(weight|bias)"
_NECK = rf"(?:{re.escape(NECK_PREFIX)})?"
_HEAD = r"decoder\.decoder\."
_BLOCK, _MIT = r"block(\d)\.(\d+)\.", r"backbone.layers.<1>.1.\2."
_LAYER, _VIT = r"blocks\.(\d+)\.", r"backbone.layers.\1."
_DPT = r"head\.scratch\."
# name of a release, and ours; <1> is group 1 less one, and '' a tensor that is not needed
_HEADS_AND_NECK = (
    (rf"{_NECK}map_(in|out)\.0\.{_LEAF}", r"neck.map_\1.0.\2"),
    (rf"{_NECK}attn_norm\.{_LEAF}", r"neck.token_norm.\1"),
    (rf"{_NECK}attn\.(q|k|v|out)_u\.weight", r"neck.unlabeled_attention.\1.weight"),
    (rf"{_NECK}attn\.(q|k|v|out)_l2u\.weight", r"neck.labeled_attention.\1.weight"),
    (rf"{_NECK}attn\.kv_queue", "neck.memory.queue"),
    (rf"{_NECK}attn\.queue_ptr", "neck.memory.pointer"),
    (rf"{_NECK}encoder_norm\.{_LEAF}", r"neck.out_norm.\1"),
    (rf"{_HEAD}linear_c([1-4])\.proj\.{_LEAF}", r"decode_head.convs.<1>.\2"),
    (rf"{_HEAD}linear_fuse\.(conv|bn)\.(\w+)", r"decode_head.fusion_conv.\1.\2"),
    (rf"{_HEAD}linear_pred\.{_LEAF}", r"decode_head.conv_seg.\1"),
)
_MIT_NAMES = (
    (rf"patch_embed(\d)\.proj\.{_LEAF}", r"backbone.layers.<1>.0.projection.\2"),
    (rf"patch_embed(\d)\.norm\.{_LEAF}", r"backbone.layers.<1>.0.norm.\2"),
    (rf"norm(\d)\.{_LEAF}", r"backbone.layers.<1>.2.\2"),
    (rf"{_BLOCK}attn\.(?:q|kv)\.{_LEAF}", rf"{_MIT}attn.attn.in_proj_\3"),
    (rf"{_BLOCK}attn\.proj\.{_LEAF}", rf"{_MIT}attn.attn.out_proj.\3"),
    (rf"{_BLOCK}(attn\.sr|attn\.norm|norm1|norm2)\.{_LEAF}", rf"{_MIT}\3.\4"),
    (rf"{_BLOCK}mlp\.fc1\.{_LEAF}", rf"{_MIT}ffn.layers.0.\3"),
    (rf"{_BLOCK}mlp\.dwconv\.dwconv\.{_LEAF}", rf"{_MIT}ffn.layers.1.\3"),
    (rf"{_BLOCK}mlp\.fc2\.{_LEAF}", rf"{_MIT}ffn.layers.4.\3"),
)
# UniMatch's DeepLabV3+, and ResNets with a deep stem in torchvision's naming (timm's resnet101s)
_DEEPLAB_NAMES = (
    (r"conv1\.(\d\.\w+)", r"backbone.stem.\1"),
    (r"bn1\.(\w+)", r"backbone.stem.7.\1"),
    (r"(layer[1-4]\.\d+\.(?:conv[123]|bn[123]|downsample\.[01])\.\w+)", r"backbone.\1"),
    (r"head\.b4\.gap\.(.+)", r"decode_head.image_pool.\1"),
    (r"head\.b([0-3]\..+)", r"decode_head.branches.\1"),
    (r"(?:head\.)?((?:project|reduce|fuse)\.\d\.\w+)", r"decode_head.\1"),
    (rf"classifier\.{_LEAF}", r"decode_head.conv_seg.\1"),
)
# DINOv2, and UniMatch V2's head
_UNIMATCH_V2_NAMES = (
    # of the pretraining; and a unit of the deepest level that has nothing to add and never learns
    (r"mask_token|head\.scratch\.refinenet4\.resConfUnit1\..+", ""),
    (r"(cls_token|pos_embed)", r"backbone.\1"),
    (rf"patch_embed\.proj\.{_LEAF}", r"backbone.patch_embed.projection.\1"),
    (rf"norm\.{_LEAF}", r"backbone.ln1.\1"),
    (rf"{_LAYER}norm([12])\.{_LEAF}", rf"{_VIT}ln\2.\3"),
    (rf"{_LAYER}attn\.(qkv|proj)\.{_LEAF}", rf"{_VIT}attn.\2.\3"),
    (rf"{_LAYER}ls1\.gamma", rf"{_VIT}attn.gamma1.weight"),
    (rf"{_LAYER}ls2\.gamma", rf"{_VIT}ffn.gamma2.weight"),
    (rf"{_LAYER}mlp\.fc1\.{_LEAF}", rf"{_VIT}ffn.layers.0.0.\2"),
    (rf"{_LAYER}mlp\.fc2\.{_LEAF}", rf"{_VIT}ffn.layers.1.\2"),
    (rf"head\.projects\.(\d)\.{_LEAF}", r"decode_head.projects.\1.\2"),
    (rf"head\.resize_layers\.(\d)\.{_LEAF}", r"decode_head.resamples.\1.\2"),
    (rf"{_DPT}layer([1-4])_rn\.weight", "decode_head.narrow.<1>.weight"),
    (rf"{_DPT}refinenet([1-4])\.resConfUnit1\.(conv[12])\.{_LEAF}", r"decode_head.fusions.<1>.skip_unit.\2.\3"),
    (rf"{_DPT}refinenet([1-4])\.resConfUnit2\.(conv[12])\.{_LEAF}", r"decode_head.fusions.<1>.unit.\2.\3"),
    (rf"{_DPT}refinenet([1-4])\.out_conv\.{_LEAF}", r"decode_head.fusions.<1>.out.\2"),
    (rf"{_DPT}output_conv\.0\.{_LEAF}", r"decode_head.last.0.\1"),
    (rf"{_DPT}output_conv\.2\.{_LEAF}", r"decode_head.conv_seg.\1"),
)
_PREFIXED = [(rf"(?:backbone\.)?(?:{theirs})", o) for theirs, o in (*_MIT_NAMES, *_DEEPLAB_NAMES, *_UNIMATCH_V2_NAMES)]
_NAMES = [(re.compile(theirs), ours) for theirs, ours in (*_HEADS_AND_NECK, *_PREFIXED)]


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
    for theirs, ours in _NAMES:
        if match := theirs.fullmatch(name):
            return re.sub(r"<(\d)>", lambda group: str(int(match[int(group[1])]) - 1), match.expand(ours))
    return None


def _reshape(target: str, value: Tensor) -> Tensor:
    """Linear layers of the release that are 1x1 convolutions here get two spatial axes."""
    is_linear = value.dim() == 2 and target.endswith("weight")
    is_conv_here = re.match(r"backbone\.layers\.\d\.1\.\d+\.ffn", target) or target.startswith("decode_head.convs.")
    return value[:, :, None, None] if is_linear and is_conv_here else value
