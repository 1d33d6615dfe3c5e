"""What stands in a config has the type that the argument says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import pytest

from mmseg_allspark.utils.checks import PositiveInt, Share, as_size, check_positive_int, check_range, check_types


class Part:
    @check_types
    def __init__(
        self,
        runner: int,
        count: int,
        share: float = 0.5,
        on: bool = False,
        pair: tuple[int, int] = (1, 1),
        names: Sequence[str] = (),
        views: Mapping[str, list[int]] | None = None,
        mode: Literal["a", 2] | None = None,
        shares: Share | list[Share] = 0.5,
        few: PositiveInt | None = None,
        **others: str,
    ) -> None:
        self.given = (count, share, on, pair, names, views, others)


RIGHT = [
    dict(count=-1, share=2, on=True, pair=[1, 2], names=["a"], views=dict(a=[1]), other=3),
    dict(count=0, views=None, mode="a", shares=[0, 1.0], few=1), dict(count=0, mode=2, shares=1, few=None),
]  # fmt: skip
WRONG = dict(
    count=(None, True, 1.0, "1", 2**40),
    share=(None, True, "0.5", float("nan"), float("inf"), [0.5], 2**40),
    on=(None, 1, "False", 0.0),
    pair=(1, (1,), (1, 2, 3), (1, 2.5), "ab"),
    names=("a", [1], None, dict(a=1)),
    views=([], "a", dict(a=1), dict(a=["1"])),
    shares=(None, "0.5", ["0.5"], float("nan")),
    few=(1.0, True, "1"),
)
REFUSED = [
    (dict(mode="b"), "Part.mode='b' is not known; use one of 'a', 2."),
    (dict(mode=["a"]), "Part.mode=['a'] is not known"),
    (dict(shares=1.5), "Part.shares=1.5 is outside [0.0, 1.0]; choose a value inside."),
    (dict(shares=[0.5, -1]), "Part.shares=[0.5, -1] is outside [0.0, 1.0]"),
    (dict(few=0), "Part.few=0 is too small; it must be at least 1."),
]


@pytest.mark.parametrize("given", RIGHT)
def test_right_types_pass(given):
    assert Part("anything", **given).given[0] == given["count"]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_wrong_types_are_named(name, value):
    with pytest.raises(TypeError, match=rf"^Part\.{name} must be .*, got "):
        Part(0, **dict(count=1) | {name: value})


@pytest.mark.parametrize(("given", "text"), REFUSED)
def test_values_that_are_not_allowed_are_named_with_those_that_are(given, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        Part(0, count=1, **given)


def test_a_missing_argument_is_told_by_python():
    with pytest.raises(TypeError, match=r"Part.__init__\(\) missing 1 required positional argument: 'count'"):
        Part(0)


def test_numbers_without_end():
    with pytest.raises(TypeError, match="x must be finite number, got inf"):
        check_range("x", float("inf"), 0.0, float("inf"))
    with pytest.raises(TypeError, match="x must be int, got 1000"):
        check_positive_int("x", 10**30)
    with pytest.raises(TypeError, match=r"x must be int \| tuple\[int, int\]|Union\[int, tuple\[int, int\]\], got 'a'"):
        as_size("x", "a")
