"""Which modules the classes of a config come from, and which of its ``custom_imports`` they need."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config

from mmseg_allspark.utils.config_types import find_class

PLUGIN = "mmseg_allspark"
_MMSEG = ("mmcv", "mmengine", "mmseg", "torch")
# what a module registers that is not below it
_REGISTERS = {f"{PLUGIN}.models.backbones.from_mmpretrain": "mmpretrain"}


def class_module(kind: str) -> str | None:
    """Return the module that defines a class of a config, None if nobody has it by now."""
    return getattr(find_class(kind), "__module__", None)


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
