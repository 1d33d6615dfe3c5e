"""Reading config files, and what is refused in them whoever reads them."""

import os
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from mmengine.config import Config

from mmseg_allspark.utils.config_types import name_types

LOADERS = ("train_dataloader", "unlabeled_dataloader", "val_dataloader", "test_dataloader")
_MMPRETRAIN = "mmpretrain.models"


def read_config(path: str | os.PathLike, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config file, of either of mmengine's kinds, and name its types.

    Args:
        path: The file.
        options: Changes, nested keys with dots. Default None.

    Raises:
        ImportError: If it needs ``mmpretrain.models``, which cannot be imported; mmengine's error names neither the
            reason nor a way out.
        TypeError: As :func:`check_loaders`.
        ValueError: As :func:`name_types`.
    """
    try:
        cfg = Config.fromfile(path)
    except ImportError as error:
        if f"'{_MMPRETRAIN}'" not in str(error):
            raise
        raise _advise_imports(path, error) from error
    cfg.merge_from_dict(options or {})
    cfg = name_types(cfg)
    if re.search(r"'type': 'mmpretrain\.", str(cfg._cfg_dict)) and _MMPRETRAIN not in sys.modules:
        try:
            import_module(_MMPRETRAIN)  # as mmengine's registry does when it builds the model
        except ImportError as error:
            raise _advise_imports(path, error) from error
    check_loaders(cfg)
    return cfg


def check_loaders(cfg: Config) -> None:
    """Raise unless every data loader of a config is one.

    Raises:
        TypeError: On a list of loaders, naming the key.
    """
    for key in LOADERS:
        if isinstance(cfg.get(key), (list, tuple)):
            raise TypeError(
                f"{key} must be a config dict, got a list of {len(cfg[key])}: mmengine's loops take one. Join the data "
                f"sets: {key}=dict(dataset=dict(type='ConcatDataset', datasets=[...]), ...)."
            )


def _advise_imports(path: str | os.PathLike, error: BaseException) -> ImportError:
    """An error with the first reason of ``error``, such as a package that is missing, and what to write instead."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return ImportError(
        f"{path} uses mmpretrain, and {_MMPRETRAIN} cannot be imported ({error}). If it uses a backbone of mmpretrain "
        "and nothing else, write in the config:\n"
        'custom_imports = dict(imports=["mmseg_allspark", "mmseg_allspark.models.backbones.from_mmpretrain"])\n'
    )
