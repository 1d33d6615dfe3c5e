"""Whatever a config says to our components: a trained step, or an error that names the key."""

from __future__ import annotations

import inspect
from collections import Counter

import pytest
import torch
from builders import build_model, neck_config, semi_batch
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_allspark.datasets import UnlabeledDataset
from mmseg_allspark.methods import SemiSegmentor

VALUES = [
    None, -1, 0, 0.5, "abc", [], {}, True, float("nan"), [1, 2, 3], dict(type="Nope"), (0, 0),
]  # fmt: skip
# mmseg's own keys
LEFT_OUT = {"self", "init_cfg", "kwargs", "backbone", "decode_head", "data_preprocessor", "train_cfg", "test_cfg"}
LEFT_OUT |= {"neck", "auxiliary_head", "pretrained"}
pytestmark = pytest.mark.filterwarnings("ignore")


def keys(kind: type) -> list[str]:
    return [key for key in inspect.signature(kind.__init__).parameters if key not in LEFT_OUT]


def cases() -> list[tuple[str, str, object]]:
    owners = dict(neck=MODELS.get("AllSparkNeck"), model=SemiSegmentor)
    return [(owner, key, value) for owner, kind in owners.items() for key in keys(kind) for value in VALUES]


def train_a_step(owner: str, key: str, value: object) -> None:
    changes = {"neck": neck_config(**{key: value})} if owner == "neck" else {key: value}
    model = build_model(**changes)
    model.train()
    optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    model.train_step(semi_batch(model), optim_wrapper)


def run(chosen: list[tuple[str, str, object]]) -> None:
    counts: Counter = Counter()
    for owner, key, value in chosen:
        try:
            train_a_step(owner, key, value)
            counts[owner, "trained"] += 1
        except Exception as error:
            named = any(word in str(error).lower() for word in (key, "nope is not in"))
            assert named, f"{owner}.{key}={value!r}: {type(error).__name__}: {error}"
            counts[owner, "named"] += 1
    print(f"{sum(counts.values())} cases: {dict(counts)}")


def test_some_configs():
    run(cases()[::7])


@pytest.mark.slow
def test_many_configs():
    run(cases())


@pytest.mark.parametrize(
    ("build", "key", "value"),
    [
        (lambda **k: TRANSFORMS.build(dict(type="LoadImage", **k)), "unreadable", "ignore"),
        (lambda **k: TRANSFORMS.build(dict(type="LoadSegMask", **k)), "drawn_on", "image"),
        (lambda **k: UnlabeledDataset("x", **k), "unreadable", None),
    ],
)
def test_options_of_loading(build, key, value):
    with pytest.raises((TypeError, ValueError), match=key):
        build(**{key: value})
