"""The names behind the ``type`` of a config, which may be a class, the path to one, or a name with its scope."""

from contextlib import suppress
from importlib import import_module
from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string
from mmseg.utils import register_all_modules

SCOPES = ("mmcv", "mmdet", "mmengine", "mmpretrain", "mmseg")  # of the mm* families
_PACKAGES = (*SCOPES, "mmseg_allspark", "torch")  # whoever reads a config has them imported
_ROOTS = [registry for registry in vars(mmengine.registry).values() if isinstance(registry, Registry)]


def name_types(cfg: Config) -> Config:
    """Return a config in which every ``type`` is a name, as :func:`type_name` has it, in its ``default_scope``.

    What a pure-Python config imports is left out, as where mmengine writes such a config to a file.

    Args:
        cfg: The config; not changed. Its ``default_scope`` is ``'mmseg'`` by default.

    Raises:
        ValueError: If ``default_scope`` is one that does not find mmseg's names.
    """
    scope = cfg.get("default_scope") or "mmseg"
    with suppress(ImportError):
        import_module(f"{scope}.registry")  # as mmengine does when it builds
    rooms = [room for root in _ROOTS if (room := _registry(root, scope)) is not None]  # an empty one is false
    if not rooms:
        raise ValueError(
            f"default_scope={scope!r}: no registry of this scope has one of mmseg's as its parent. Set "
            f"default_scope='mmseg' and write the names of {scope} with their scope, as in type='mmpretrain.ViTSAM'; "
            "or import the project of this scope with custom_imports."
        )
    for room in rooms:
        while room is not None:  # mmengine imports the classes of the registry that it builds from, not of its parents
            room.import_from_location()
            room = room.parent
    content = dict(_named(cfg._to_lazy_dict(), scope), default_scope=scope)
    return Config(content, cfg_text=cfg.text, filename=cfg.filename, env_variables=cfg.env_variables)


def type_name(kind: object, scope: str = "mmseg") -> Any:
    """Return the registered name of what the ``type`` of a config says.

    Args:
        kind: A class or function, the path to one, or a name with or without a scope.
        scope: Where names are looked up, mmseg's or one below it. Default ``'mmseg'``.

    Returns:
        The name, with its scope where ``scope`` has another class of this name. The path where it is not registered, or
        neither torch's, mm*'s nor ours: a later process finds it by its path alone. Anything else, and a name that
        cannot be found, as it is.
    """
    if isinstance(kind, (LazyAttr, LazyObject)):
        kind = kind.build()
    found = kind
    if isinstance(kind, str):
        found = find_class(kind) if "." in kind else _own_class(kind, scope)
    if not callable(found):
        return kind
    path = f"{found.__module__}.{found.__qualname__}"
    if path.partition(".")[0] not in _PACKAGES and "<locals>" not in path:
        return kind if isinstance(kind, str) and "." in kind else path
    register_all_modules(init_default_scope=False)
    for root in _ROOTS:
        ours = _registry(root, scope) or root.children.get("mmseg", root)
        for room in (ours, root, *root.children.values()):
            names = [name for name, value in room.module_dict.items() if value is found]
            if names:
                name = found.__name__ if found.__name__ in names else names[0]
                return name if ours.get(name) is found else f"{room.scope}.{name}"
    return kind if isinstance(kind, str) else path


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


def _registry(root: Registry, scope: str) -> Registry | None:
    """The registry of a scope that is mmseg's or below it."""
    return root.children["mmseg"]._search_child(scope) if "mmseg" in root.children else None


def _own_class(name: str, scope: str) -> Any | None:
    """What a scope below mmseg's has under a name that mmseg does not have for anything."""
    if scope == "mmseg" or find_class(name) is not None:
        return None
    rooms = (_registry(root, scope) for root in _ROOTS)
    return next((room.module_dict[name] for room in rooms if room and name in room.module_dict), None)


def _named(part: Any, scope: str) -> Any:
    if isinstance(part, dict):
        return {key: type_name(value, scope) if key == "type" else _named(value, scope) for key, value in part.items()}
    return type(part)(_named(item, scope) for item in part) if isinstance(part, (list, tuple)) else part
