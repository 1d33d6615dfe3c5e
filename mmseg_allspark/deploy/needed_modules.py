"""Which modules the classes of a config come from, and which of its ``custom_imports`` they need."""

from collections.abc import Iterator, Sequence
from typing import Any

import mmengine.registry
import mmseg.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmseg.utils import register_all_modules

PLUGIN = "mmseg_allspark"
_MMSEG = ("mmcv", "mmengine", "mmseg", "torch")
# what a module registers that is not below it
_REGISTERS = {f"{PLUGIN}.models.backbones.from_mmpretrain": "mmpretrain"}
_REGISTRIES = [
    registry
    for room in (mmseg.registry, mmengine.registry)
    for registry in vars(room).values()
    if isinstance(registry, Registry)
]


def class_module(kind: str) -> str | None:
    """Return the module that defines a registered class.

    mmseg's classes are imported for it; those of other scopes, which may need more packages, are not.

    Args:
        kind: Its name, e.g. ``'SegformerHead'`` or ``'mmpretrain.ViTSAM'``.

    Returns:
        The module's name, or None if no registry has it by now.
    """
    register_all_modules(init_default_scope=False)
    scope, name = Registry.split_scope_key(kind)
    found = [room if scope in (None, room.scope) else room.children.get(scope) for room in _REGISTRIES]
    return next((room.module_dict[name].__module__ for room in found if room and name in room.module_dict), None)


def own_types(part: Any) -> list[str]:
    """Names of this package's classes that a part of a config asks for."""
    return [kind for kind in _types(part) if _is_below(class_module(kind) or "", PLUGIN)]


def needed_imports(imports: Sequence[str], part: Any) -> list[str]:
    """Return those of a config's ``custom_imports`` that a part of it needs.

    Args:
        imports: Their names; this package is added where it is needed.
        part: The part, after its model was built: only then registries have what they import on demand.

    Returns:
        The modules that define a class of the part, in their order. Where one of its classes is found nowhere, or
        neither mm* packages nor a module of ``imports`` explain it, any of ``imports`` may have registered it: all.
    """
    names = list(dict.fromkeys([*imports, PLUGIN]))
    modules = {kind: class_module(kind) for kind in _types(part)}
    explained = {kind for kind, module in modules.items() if module and _is_of_mm(kind, module)}
    needed = set()
    for kind, module in modules.items():
        by = {name for name in names if module and _is_below(module, _REGISTERS.get(name, name))}
        needed |= by
        if by:
            explained.add(kind)
    if explained != modules.keys():
        needed |= {*names} - {PLUGIN}
    return [name for name in names if name in needed]


def needed_packages(cfg: Config) -> dict[str, tuple[str, ...]]:
    """Return the packages beside mmseg's that a config needs.

    Args:
        cfg: The config, with its ``custom_imports``.

    Returns:
        By package its classes that the config asks for; none where an import alone asks for the package.
    """
    values = cfg._cfg_dict.to_dict()
    packages: dict[str, set[str]] = {}
    for name in imports_of(cfg):
        packages.setdefault(name.partition(".")[0], set())
    for kind in _types(values):
        package = (class_module(kind) or "mmseg").partition(".")[0]
        if package not in _MMSEG:
            packages.setdefault(package, set()).add(kind)
    return {package: tuple(sorted(packages[package])) for package in sorted(packages)}


def imports_of(cfg: Config) -> list[str]:
    """Modules of a config's ``custom_imports``."""
    names = (cfg.get("custom_imports") or {}).get("imports") or []
    return [names] if isinstance(names, str) else list(names)


def _is_of_mm(kind: str, module: str) -> bool:
    """Whether mmengine finds a class without ``custom_imports``, by itself or by the scope of its name."""
    package = module.partition(".")[0]
    return package in _MMSEG or kind.startswith(f"{package}.")


def _is_below(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def _types(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("type"), str):
            yield part["type"]
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for item in part:
            yield from _types(item)
