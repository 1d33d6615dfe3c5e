"""What an error advises for a config of mmseg's zoo works when it is written below that config."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import mmseg
import pytest
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS

ZOO = Path(mmseg.__path__[0], ".mim/configs/convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py")


def line_of(error, name):
    return re.search(rf"^{name} = .*$", str(error.value), flags=re.MULTILINE)[0]


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="with torchvision all of mmpretrain can be imported")
@pytest.mark.parametrize("imports", ["", "custom_imports = dict(imports=['mmseg_allspark'])\n"])
def test_convnext_without_torchvision_and_mixed_precision_without_a_gpu(load_tool, monkeypatch, tmp_path, imports):
    pytest.importorskip("mmpretrain")
    for name in ("mmpretrain.models", "mmseg_allspark.models.backbones.from_mmpretrain"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    train, path = load_tool("train"), tmp_path / "child.py"
    monkeypatch.setitem(train.require_gpu_for_amp.__globals__, "get_device", lambda: "cpu")
    text = f"_base_ = '{ZOO}'\nmodel = dict(backbone=dict(init_cfg=None))\n"

    def read(*lines):
        path.write_text(text + "\n".join(lines))
        return train.load_config(train.parse_args([str(path)]))

    with pytest.raises(ImportError, match="torchvision") as error:
        read(imports)
    imports = line_of(error, "custom_imports")
    with pytest.raises(RuntimeError, match="needs a GPU") as error:
        train.require_gpu_for_amp(read(imports))
    wrapper = line_of(error, "optim_wrapper")
    model = MODELS.build(read(imports).model)
    for kind in ("AutocastOptimWrapper", "OptimWrapper"):
        cfg = read(imports, wrapper.replace("AutocastOptimWrapper", kind))
        train.require_gpu_for_amp(cfg)
        built = build_optim_wrapper(model, cfg.optim_wrapper)
        assert type(built).__name__ == kind and len(built.param_groups) > 1  # decayed by layer, as in the zoo
