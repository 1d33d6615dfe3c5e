"""Figures of the released methods: ``tests/golden_methods/<method>.py`` says how each group is computed here.

    pytest tests/test_golden_methods.py -s        # prints method, group, quantity and largest difference

A module has ``GROUPS``: the group's name in ``tests/golden/methods/<method>.npz`` to a function that takes its arrays
by name and yields (quantity, ours, released); perhaps ``TOLERANCES`` by group; and ``NOT_COMPARED``: group to the
reason. Arrays without a group go to every group. Differences are relative to the quantity's largest value.
"""

import importlib
import json
import re

import numpy as np
import pytest
import torch
from builders import ROOT

NAMES = sorted(path.stem for path in (ROOT / "tests/golden_methods").glob("[a-z]*.py"))
MODULES = {name: importlib.import_module(f"golden_methods.{name}") for name in NAMES}


def read(name):
    """Arrays by group, each with those that have no group, and the text ``meta``."""
    groups, arrays = {}, dict(np.load(ROOT / f"tests/golden/methods/{name}.npz"))
    meta = json.loads(str(arrays.pop("meta")))
    for key, value in arrays.items():
        *group, rest = re.split("/" if "/" in key else r"\.", key, maxsplit=1)
        groups.setdefault("".join(group), {})[rest] = value
    shared = groups.pop("", {})
    return {group: shared | values for group, values in groups.items()}, meta


@pytest.mark.parametrize("name", NAMES)
def test_every_group_is_compared_or_its_reason_is_given(name):
    module, (groups, _) = MODULES[name], read(name)
    assert {*module.GROUPS, *getattr(module, "NOT_COMPARED", {})} == set(groups)


@pytest.mark.parametrize(("name", "group"), [(name, group) for name in NAMES for group in MODULES[name].GROUPS])
def test_agrees_with_the_release(name, group):
    module = MODULES[name]
    tolerance = getattr(module, "TOLERANCES", {}).get(group, 1e-5)
    differences = {}
    for quantity, ours, released in module.GROUPS[group](read(name)[0][group]):
        ours, released = (torch.as_tensor(value).detach().double() for value in (ours, released))
        assert ours.shape == released.shape, quantity
        scale = released.abs().max().clamp(min=1e-12)
        difference = ((ours - released).abs().max() / scale).nan_to_num(nan=float("inf")).item()
        differences[quantity] = max(differences.get(quantity, 0.0), difference)
    for quantity, difference in differences.items():
        print(f"{name:12} {group:12} {quantity:44} {difference:9.2e}")
    assert differences and max(differences.values()) <= tolerance, differences
