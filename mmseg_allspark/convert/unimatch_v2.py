"""Names of DINOv2's weights and of UniMatch V2's head in their releases -> our parameter names."""

import re

_LEAF = r"(weight|bias)"
_BLOCK = r"blocks\.(\d+)\."
_LAYER = r"backbone.layers.\1."
_NAMES = (
    (r"(cls_token|pos_embed)", r"backbone.\1"),
    (rf"patch_embed\.proj\.{_LEAF}", r"backbone.patch_embed.projection.\1"),
    (rf"norm\.{_LEAF}", r"backbone.ln1.\1"),
    (rf"{_BLOCK}norm([12])\.{_LEAF}", rf"{_LAYER}ln\2.\3"),
    (rf"{_BLOCK}attn\.(qkv|proj)\.{_LEAF}", rf"{_LAYER}attn.\2.\3"),
    (rf"{_BLOCK}ls1\.gamma", rf"{_LAYER}attn.gamma1.weight"),
    (rf"{_BLOCK}ls2\.gamma", rf"{_LAYER}ffn.gamma2.weight"),
    (rf"{_BLOCK}mlp\.fc1\.{_LEAF}", rf"{_LAYER}ffn.layers.0.0.\2"),
    (rf"{_BLOCK}mlp\.fc2\.{_LEAF}", rf"{_LAYER}ffn.layers.1.\2"),
    (rf"head\.projects\.(\d)\.{_LEAF}", r"decode_head.projects.\1.\2"),
    (rf"head\.resize_layers\.(\d)\.{_LEAF}", r"decode_head.resamples.\1.\2"),
    (rf"head\.scratch\.output_conv\.0\.{_LEAF}", r"decode_head.last.0.\1"),
    (rf"head\.scratch\.output_conv\.2\.{_LEAF}", r"decode_head.conv_seg.\1"),
)
_REDUCED = re.compile(r"head\.scratch\.layer([1-4])_rn\.weight")
_FUSED = re.compile(rf"head\.scratch\.refinenet([1-4])\.(resConfUnit[12]\.conv[12]|out_conv)\.{_LEAF}")
_PARTS = {"resConfUnit1": "skip_unit", "resConfUnit2": "unit", "out_conv": "out"}
# of the pretraining; and a unit of the deepest level that has nothing to add and never learns
_UNUSED = re.compile(r"mask_token|head\.scratch\.refinenet4\.resConfUnit1\..+")


def unimatch_v2_name(name: str) -> str | None:
    """Our name for a name of DINOv2's encoder or UniMatch V2's head; '' if it is not needed, None if unknown.

    Args:
        name: Without ``module.`` and ``backbone.`` in front.
    """
    if _UNUSED.fullmatch(name):
        return ""
    if match := _REDUCED.fullmatch(name):
        return f"decode_head.narrow.{int(match[1]) - 1}.weight"
    if match := _FUSED.fullmatch(name):
        part, _, conv = match[2].partition(".")
        path = ".".join(filter(None, (_PARTS[part], conv, match[3])))
        return f"decode_head.fusions.{int(match[1]) - 1}.{path}"
    return next((re.sub(theirs, ours, name) for theirs, ours in _NAMES if re.fullmatch(theirs, name)), None)
