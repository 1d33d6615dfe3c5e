"""Guards for the public doors: they raise exceptions that give the value and the remedy."""

import functools
import inspect
import math
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

_NOT_CONFIG = ("self", "runner", "dataloader")  # the last two mmengine gives to a loop beside the keys of train_cfg
_LARGEST_INT = 2**31  # more is a slip of the finger, and torch's message about it names nothing


@dataclass(frozen=True)
class Between:
    """Bounds of a number, both allowed, as in ``Annotated[float, Between(0.0, 1.0)]``."""

    low: float
    high: float = math.inf

    def problem(self, value: float) -> str | None:
        """Say what is wrong with a number; None if it is inside."""
        if self.low <= value <= self.high:
            return None
        if self.high == math.inf:
            return f"is too small; it must be at least {self.low}."
        return f"is outside [{self.low}, {self.high}]; choose a value inside."


Count = Annotated[int, Between(0)]
PositiveInt = Annotated[int, Between(1)]
Share = Annotated[float, Between(0.0, 1.0)]
LossWeight = Annotated[float, Between(0.0, 1e6)]  # a float32 loss times it stays finite


def check_types(init: Callable) -> Callable:
    """Decorate an ``__init__`` whose arguments come from a config: they have to be what its annotations say.

    A list may stand for a tuple, as it does in configs. A bool is no number, a number is no bool; numbers have to be
    finite. ``Literal`` gives the values that are known, ``Annotated`` with :class:`Between` the bounds of a number.
    Arguments in ``**kwargs`` are left to whoever takes them.

    Args:
        init: The ``__init__``, with type annotations.

    Returns:
        It, raising ``TypeError`` with class, argument, value and annotation, or ``ValueError`` with class, argument,
        value and what is allowed, before anything else happens.
    """
    signature = inspect.signature(init)
    owner = init.__qualname__.split(".")[0]
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    takes_any = any(entry.kind is inspect.Parameter.VAR_KEYWORD for entry in signature.parameters.values())
    ours = [name for name, entry in signature.parameters.items() if entry.kind not in many and name not in _NOT_CONFIG]

    @functools.wraps(init)
    def checked(self: object, *args: object, **kwargs: object) -> None:
        if not takes_any:
            check_keys(owner, [key for key in kwargs if key not in _NOT_CONFIG], ours)
        try:
            given = signature.bind(self, *args, **kwargs).arguments
        except TypeError:
            given = {}  # Python says it better below, with the name of the class
        annotations = get_type_hints(init, include_extras=True)
        for name in ours:
            problem = _problem(given[name], annotations[name]) if name in given else None
            if problem:
                raise ValueError(f"{owner}.{name}={given[name]!r} {problem}")
            if problem is not None:
                expected = inspect.formatannotation(get_type_hints(init)[name]).replace("float", "finite number")
                raise TypeError(
                    f"{owner}.{name} must be {expected.replace('collections.abc.', '')}, got "
                    f"{given[name]!r} ({type(given[name]).__name__})."
                )
        init(self, *args, **kwargs)

    return checked


def _problem(value: object, annotation: Any) -> str | None:
    """Say what is wrong with a value of a config; empty if it has another type, None if it is what it has to be."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        problems = [_problem(value, part) for part in parts]
        return None if None in problems else max(problems)
    if origin is Annotated:
        problem = _problem(value, parts[0])
        return parts[1].problem(value) if problem is None else problem
    if origin is Literal:
        return None if value in parts else f"is not known; use one of {', '.join(map(repr, parts))}."
    if origin is tuple:
        same = isinstance(value, (tuple, list)) and len(value) == len(parts)
        return _first_problem(zip(value, parts, strict=True)) if same else ""
    if origin in (list, Sequence):
        return _first_problem((entry, parts[0]) for entry in value) if isinstance(value, (tuple, list)) else ""
    if origin is Mapping:
        return _first_problem((entry, parts[1]) for entry in value.values()) if isinstance(value, Mapping) else ""
    return None if _has_type(value, origin or annotation) else ""


def _first_problem(entries: Iterable[tuple[object, Any]]) -> str | None:
    return next((problem for entry in entries if (problem := _problem(*entry)) is not None), None)


def _has_type(value: object, kind: Any) -> bool:
    if kind in (Any, object):
        return True
    if kind not in (int, float):
        return isinstance(value, kind)
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < _LARGEST_INT


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
