"""Guards for the public doors: they raise exceptions that give the value and the remedy."""

import functools
import inspect
import math
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Union, get_args, get_origin, get_type_hints

_NOT_CONFIG = ("self", "runner", "dataloader")  # the last two mmengine gives to a loop beside the keys of train_cfg
_LARGEST_INT = 2**31  # more is a slip of the finger, and torch's message about it names nothing


def check_types(init: Callable) -> Callable:
    """Decorate an ``__init__`` whose arguments come from a config: they have to be what its annotations say.

    A list may stand for a tuple, as it does in configs. A bool is no number, a number is no bool; numbers have to be
    finite. Arguments in ``**kwargs`` are left to whoever takes them.

    Args:
        init: The ``__init__``, with type annotations.

    Returns:
        It, raising ``TypeError`` with class, argument, value and annotation before anything else happens.
    """
    signature = inspect.signature(init)
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    takes_any = any(entry.kind is inspect.Parameter.VAR_KEYWORD for entry in signature.parameters.values())
    ours = [name for name, entry in signature.parameters.items() if entry.kind not in many and name not in _NOT_CONFIG]

    @functools.wraps(init)
    def checked(self: object, *args: object, **kwargs: object) -> None:
        if not takes_any:
            check_keys(init.__qualname__.split(".")[0], [key for key in kwargs if key not in _NOT_CONFIG], ours)
        try:
            given = signature.bind(self, *args, **kwargs).arguments
        except TypeError:
            given = {}  # Python says it better below, with the name of the class
        annotations = get_type_hints(init)
        for name in ours:
            if name in given and not _fits(given[name], annotations[name]):
                expected = inspect.formatannotation(annotations[name]).replace("float", "finite number")
                raise TypeError(
                    f"{init.__qualname__.split('.')[0]}.{name} must be {expected.replace('collections.abc.', '')}, got "
                    f"{given[name]!r} ({type(given[name]).__name__})."
                )
        init(self, *args, **kwargs)

    return checked


def _fits(value: object, annotation: Any) -> bool:
    """Whether a value of a config is what an annotation says."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if annotation in (Any, object):
        return True
    if annotation in (int, float):
        kinds = int if annotation is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return False
        return math.isfinite(value) if isinstance(value, float) else abs(value) < _LARGEST_INT
    if origin is tuple:
        same = isinstance(value, (tuple, list)) and len(value) == len(parts)
        return same and all(map(_fits, value, parts))
    if origin in (list, Sequence):
        return isinstance(value, (tuple, list)) and all(_fits(entry, parts[0]) for entry in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(entry, parts[1]) for entry in value.values())
    return isinstance(value, origin or annotation)


def check_keys(name: str, keys: Iterable[str], known: Sequence[str]) -> None:
    """Raise ``TypeError`` on a key that nothing takes, with the one that may be meant.

    Args:
        name: Class or config key shown in the message.
        keys: Those given.
        known: Those that there are.
    """
    unknown = [key for key in keys if key not in known]
    if unknown:
        close = get_close_matches(unknown[0], known, n=1)
        meant = f"; is {close[0]!r} meant? " if close else ". "
        raise TypeError(f"{name} has no key {unknown[0]!r}{meant}It has {', '.join(known)}.")


def check_has_type(name: str, cfg: Mapping) -> None:
    """Raise ``KeyError`` unless the config of a component has a ``type``.

    Args:
        name: Config key shown in the message.
        cfg: The component's config.
    """
    if "type" not in cfg:
        raise KeyError(f"{name}={dict(cfg)} has no type: {name}=dict(type='...', ...) says what to build.")


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``choices``.

    Args:
        name: Config key or argument name shown in the message.
        value: The value to check.
        choices: The values allowed.
    """
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name}={value!r} is not known; use one of {allowed}.")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise unless ``value`` is a finite number with ``low <= value <= high``.

    Args:
        name: Config key or argument name shown in the message.
        value: The value to check.
        low: Smallest value allowed.
        high: Largest value allowed.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__}).")
    if not (low <= value <= high and math.isfinite(value)):
        raise ValueError(f"{name}={value!r} is outside [{low}, {high}]; choose a value inside.")


def check_loss_weight(name: str, value: float) -> None:
    """Raise unless ``value`` is in [0, 1e6]: a float32 loss times it stays finite.

    Args:
        name: Config key or argument name shown in the message.
        value: The value to check.
    """
    check_range(name, value, 0.0, 1e6)


def check_positive_int(name: str, value: int) -> None:
    """Raise unless ``value`` is an integer of at least 1.

    Args:
        name: Config key or argument name shown in the message.
        value: The value to check.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, got {value!r} ({type(value).__name__}).")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    if value >= _LARGEST_INT:
        raise ValueError(f"{name}={value} is too large.")


def as_size(name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    """Turn ``value`` into a (height, width) pair of positive integers.

    Args:
        name: Config key or argument name shown in the message.
        value: One integer (a square) or a pair (height, width).

    Returns:
        The pair (height, width).
    """
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{name} must be an integer or a pair (height, width), got {value!r}.")
    for side in pair:
        check_positive_int(name, side)
    return (pair[0], pair[1])
