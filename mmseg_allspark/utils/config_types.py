"""The names behind the ``type`` of a config, which may be a class, the path to one, or a name with its scope."""

from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string
from mmseg.utils import register_all_modules

SCOPES = ("mmcv", "mmdet", "mmengine", "mmpretrain", "mmseg")  # of the mm* families
_ROOTS = [registry for registry in vars(mmengine.registry).values() if isinstance(registry, Registry)]


def name_types(cfg: Config) -> Config:
    """Return a config in which every ``type`` is a name, as :func:`type_name` has it, in the scope ``mmseg``.

    What a pure-Python config imports is left out, as where mmengine writes such a config to a file.

    Args:
        cfg: The config; not changed.

    Raises:
        ValueError: If ``default_scope`` is another.
    """
    scope = cfg.get("default_scope")
    if scope not in (None, "mmseg"):
        raise ValueError(
            f"default_scope={scope!r}: this package reads names in the scope of mmseg. Set default_scope='mmseg' and "
            f"write the names of {scope} with their scope, as in type='mmpretrain.ViTSAM'."
        )
    content = dict(_named(cfg._to_lazy_dict()), default_scope="mmseg")
    return Config(content, cfg_text=cfg.text, filename=cfg.filename, env_variables=cfg.env_variables)


def type_name(kind: object) -> Any:
    """Return the registered name of what the ``type`` of a config says.

    Args:
        kind: A class or function, the path to one, or a name with or without a scope.

    Returns:
        The name, with its scope where mmseg has another class of this name; the path where it is not registered.
        Anything else, and a name that cannot be found, as it is.
    """
    if isinstance(kind, (LazyAttr, LazyObject)):
        kind = kind.build()
    found = (find_class(kind) if "." in kind else None) if isinstance(kind, str) else kind
    if not callable(found):
        return kind
    register_all_modules(init_default_scope=False)
    for root in _ROOTS:
        ours = root.children.get("mmseg", root)
        for room in (ours, root, *root.children.values()):
            names = [name for name, value in room.module_dict.items() if value is found]
            if names:
                name = found.__name__ if found.__name__ in names else names[0]
                return name if ours.get(name) is found else f"{room.scope}.{name}"
    return kind if isinstance(kind, str) else f"{found.__module__}.{found.__qualname__}"


def find_class(kind: str) -> Any | None:
    """Return what a ``type`` names.

    mmseg's classes are imported for it, and what a path leads to; those of other scopes, which may need more packages,
    are not.

    Args:
        kind: A name, e.g. ``'SegformerHead'`` or ``'mmpretrain.ViTSAM'``, or a path, e.g. ``'torch.optim.AdamW'``.

    Returns:
        The class or function, or None if nobody has it by now.
    """
    register_all_modules(init_default_scope=False)
    scope, name = Registry.split_scope_key(kind)
    for wanted in ("mmseg", "mmengine") if scope is None else (scope,):
        for root in _ROOTS:
            room = root if root.scope == wanted else root.children.get(wanted)
            if room is not None and name in room.module_dict:
                return room.module_dict[name]
    is_name = scope is None or (scope in SCOPES and kind.count(".") == 1)
    return None if is_name else get_object_from_string(kind)


def _named(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: type_name(value) if key == "type" else _named(value) for key, value in part.items()}
    return type(part)(map(_named, part)) if isinstance(part, (list, tuple)) else part
