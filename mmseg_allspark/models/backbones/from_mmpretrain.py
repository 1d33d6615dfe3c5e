"""Importing this module registers mmpretrain's backbones (``type='mmpretrain.VisionTransformer'`` and others).

A config names it beside the plugin::

    custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.from_mmpretrain"])

``mmpretrain.models`` as a whole needs torchvision, for parts that have nothing to do with backbones. Where
torchvision is not installed only ``mmpretrain.models.backbones`` is imported.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path


def register_backbones() -> None:
    """Import mmpretrain's backbones, with the rest of its models only where torchvision is installed.

    Raises:
        ImportError: If mmpretrain is not installed; with the command that installs it.
    """
    found = find_spec("mmpretrain")
    if found is None:
        raise ImportError(
            "This config needs mmpretrain. Install it: pip install 'mmseg-allspark[mmpretrain]' beside the maintained "
            "fork, 'mmseg-allspark[mmpretrain-upstream]' beside OpenMMLab's last releases."
        )
    if find_spec("torchvision") is None and "mmpretrain.models" not in sys.modules:
        # A parent package without its __init__, which imports evaluation code that needs torchvision.
        spec = ModuleSpec("mmpretrain.models", loader=None, is_package=True)
        spec.submodule_search_locations = [str(Path(found.origin).parent / "models")]
        sys.modules["mmpretrain.models"] = module_from_spec(spec)
    importlib.import_module("mmpretrain.models.backbones")


register_backbones()
