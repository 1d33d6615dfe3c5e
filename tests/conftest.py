"""What the tests of several rooms share."""

import gc
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yapf.yapflib.yapf_api  # noqa: F401  (writes its cache here, before several workers would at once)
from builders import ROOT, leave_config_text_plain, write_data
from mmengine.registry import init_default_scope
from trained import cnn_baseline, write_trained

import mmseg_allspark  # noqa: F401  (registers)
from mmseg_allspark.models import blockwise_attention


@pytest.fixture(scope="module", autouse=True)
def _imported_modules_are_no_garbage() -> None:
    """mmengine's data sets collect garbage when they are built, which takes a second unless the modules are frozen."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _scope_and_seeds() -> None:
    init_default_scope("mmseg")
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def _plain_config_text() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    leave_config_text_plain(patch)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labeled, four unlabeled and two validation images on disk. Not to be changed by a test."""
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an AllSpark run: ``config.py``, ``iter_2.pth``. Not to be changed by a test."""
    return write_trained(data, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def trained_cnn(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a pseudo-label run all of whose parts are mmseg's. Not to be changed by a test."""
    return write_trained(data, tmp_path_factory.mktemp("trained_cnn"), **cnn_baseline())


@pytest.fixture(params=["map", "blocks", "blocks, computed again"])
def attention_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way the exact attention may go: test cases are small and would all go through the map."""
    if request.param != "map":
        # by name: the package has a function of the same name
        monkeypatch.setattr(importlib.import_module("mmseg_allspark.models.channel_attention"), "SMALL_MAP", 0)
        monkeypatch.setitem(blockwise_attention._BLOCK_ENTRIES, "cpu", 1)
    if request.param == "blocks, computed again":
        monkeypatch.setattr(blockwise_attention, "KEPT_ENTRIES", 0)


@pytest.fixture
def load_tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a function that imports a script of ``tools`` as a module."""

    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(ROOT / "tools"))
        monkeypatch.syspath_prepend(str((ROOT / "tools" / name).parent))  # as when it is a script
        spec = importlib.util.spec_from_file_location(f"allspark_tool_{name}", ROOT / "tools" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
