"""What check_data.py says about files of the wrong kind, and that it says it once."""

import numpy as np
import pytest

from .prepare_tools import load_tool
from .test_check_data import png, run, write_tree


@pytest.fixture(scope="module")
def tool():
    with load_tool("check_data") as module:
        yield module


@pytest.fixture
def config(tmp_path):
    return write_tree(tmp_path, labeled=3, unlabeled=3, validation=3)


def test_masks_of_0_and_255_have_one_remedy(tool, config):
    for path in (config.parent / "mask").glob("labeled*.png"):
        path.write_bytes(png(np.eye(12, 16, dtype=np.uint8) * 255))
    code, report = run(tool, config)
    (finding,) = (finding for finding in report["findings"] if finding["level"] == "error")
    assert code == 1 and "hold a only" in finding["text"]
    assert "make it 1" in finding["remedy"] and "make it 1" not in finding["text"]
