"""Configs whose parts do not fit together, faults in the loaders, and anything anywhere."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path

from fuzz_configs import REQUIRED, Case, all_cases, fits, whole_config
from hypothesis import strategies as st
from mmengine.config import Config

# What does not fit together: changes of the whole config (dotted key to value, REQUIRED: left out), words of the error.
MISFITS = [
    ({"unlabeled_dataloader": "abc"}, "unlabeled_dataloader"),
    ({"unlabeled_dataloader.dataset": REQUIRED}, "unlabeled_dataloader.dataset"),
    ({"unlabeled_dataloader.dataset.pipeline": []}, "unlabeled_dataloader"),
    ({"train_dataloader": REQUIRED}, "train_dataloader"),
    ({"train_dataloader.dataset": REQUIRED}, "train_dataloader.dataset"),
    ({"train_cfg.max_epochs": 1}, "max_epochs"),
    ({"train_cfg.max_iters": REQUIRED}, "max_iters"),
    ({"train_cfg": REQUIRED}, "train_cfg"),
    ({"train_cfg.unlabeled_dataloader": {}}, "unlabeled_dataloader"),
    ({"optim_wrapper": REQUIRED}, "optim"),
    ({"optim_wrapper.type": "OptimWraper"}, "OptimWraper"),
    ({"model": REQUIRED}, "model"),
    ({"model.decode_head.num_classes": 5, "model.neck.num_classes": 5}, "num_classes=5"),
    ({"model.neck.memory_size": REQUIRED}, "memory_size"),
    ({"model.neck.in_index": 4}, "in_index"),
    ({"model.neck.in_index": 0}, "in_channels"),
    ({"model.confidence": {"threshold": 0.5}}, "model.confidence"),
    ({"model.confidence.threshold": [0.1, 0.2]}, "confidence.threshold"),
    ({"model.alignment": {"momentun": 1}}, "momentun"),
    ({"custom_hooks.0.warmup_epochs": 1}, "warmup_epochs"),
    ({"custom_hooks.0.type": "SemanticMemoryHok"}, "SemanticMemoryHok"),
    ({"default_hooks.checkpoint.max_keep_ckpt": 1}, "max_keep_ckpt"),
]  # fmt: skip
# Keys of both loaders; what belongs to torch or mmengine may be named by the loader alone.
LOADER_FAULTS = [("batch_size", value) for value in (REQUIRED, 0, -1, None, "abc", 0.5, 10**30, [], {}, True)]
LOADER_FAULTS += [("drop_last", value) for value in (None, "abc", 0.5)]
LOADER_FAULTS += [("num_workers", value) for value in (-1, "abc", None)]
LOADER_FAULTS += [("batch_sze", 2), ("batch_sampler", {}), ("sampler", dict(type="DefaultSampeler"))]


def changed(cfg: Config, changes: dict[str, object]) -> Config:
    """A config with dotted keys changed."""
    cfg = copy.deepcopy(cfg)
    for dotted, value in changes.items():
        *path, key = (int(step) if step.isdigit() else step for step in dotted.split("."))
        part = reduce(getitem, path, cfg._cfg_dict)
        if value is REQUIRED:
            del part[key]
        else:
            part[key] = copy.deepcopy(value)
    return cfg


def misfit_cases(data: Path, work_dir: Path) -> list[Case]:
    """What does not fit together, and faults in the loaders."""
    base = whole_config(data, work_dir)
    both = [(f"{loader}_dataloader", *fault) for loader in ("train", "unlabeled") for fault in LOADER_FAULTS]
    faults = [*MISFITS, *(({f"{loader}.{key}": value}, f"{loader}|{key}") for loader, key, value in both)]
    return [
        Case(changed(base, changes), (), f"{changes}", "work_dir", str(work_dir), tuple(words.split("|")), True)
        for changes, words in faults
    ]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def random_cases(data: Path, work_dir: Path) -> st.SearchStrategy:
    """Any key of any component of ours with anything in it."""
    keyed = [case for case in all_cases(data, work_dir) if case.annotation is not None]
    slots = list({(case.path, case.kind, case.key): case for case in keyed}.values())

    def fill(pair: tuple[Case, object]) -> Case:
        case, value = pair
        return replace(case, value=value, wrong=not fits(value, case.annotation))

    return st.tuples(st.sampled_from(slots), JUNK).map(fill)
