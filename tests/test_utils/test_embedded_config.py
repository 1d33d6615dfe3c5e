import sys

import pytest
from mmengine.config import Config

from mmseg_allspark.utils.embedded_config import EmbeddedConfigError, parse_plain_config, read_embedded_config

VALUES = dict(
    model=dict(type="mmseg.EncoderDecoder", sizes=(1, 2), rate=-1e-3, nothing=None, flags=[True, dict(a="b")]),
    table={"a-b": 1, "inner": {"3d": dict(x=[])}},
    numbers={1: "one"},
    custom_imports=dict(imports=["mmseg_allspark"], allow_failed_imports=False),
)


def test_what_mmengine_writes_is_read_back():
    assert parse_plain_config(Config(VALUES).pretty_text) == VALUES
    assert read_embedded_config(dict(meta=dict(cfg=Config(VALUES).pretty_text)), "x.pth").model.sizes == (1, 2)


def test_a_backbone_of_this_package_is_imported(monkeypatch):
    """As by a new process: ``import mmseg_allspark`` leaves out those that need mmpretrain."""
    monkeypatch.delitem(sys.modules, "mmseg_allspark.utils.metric_names", raising=False)
    text = "custom_imports = dict(imports=['mmseg_allspark', 'mmseg_allspark.utils.metric_names'])"
    read_embedded_config(dict(meta=dict(cfg=text)), "x.pth")
    assert "mmseg_allspark.utils.metric_names" in sys.modules
    with pytest.raises(EmbeddedConfigError, match="No module named 'mmseg_allspark.nothing'"):
        read_embedded_config(dict(meta=dict(cfg=text.replace("utils.metric_names", "nothing"))), "x.pth")


def test_the_text_of_the_log_wins():
    checkpoint = dict(meta=dict(cfg="a = 1"), message_hub=dict(runtime_info=dict(cfg="a = 2")))
    assert read_embedded_config(checkpoint, "x.pth").a == 2


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "a = open('touched', 'w')",
        "a = dict(**dict(b=1))",
        "a = [x for x in (1,)]",
        "a, b = 1, 2",
        "a = __import__('os').system('touch touched')",
        "a = dict(b=eval('1'))",
        "a.b = 1",
        "a = ",
        "custom_imports = dict(imports=['antigravity'])",
        "custom_imports = dict(imports='antigravity')",
        "default_scope = 'antigravity'",
        "model = dict(type='os.system', command='touch touched')",
        "model = [dict(parts=(dict(type='subprocess.run'),))]",
    ],
)
def test_nothing_else_is_run(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EmbeddedConfigError, match=r"inside x\.pth .*give the config file"):
        read_embedded_config(dict(meta=dict(cfg=text)), "x.pth")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("checkpoint", [{}, dict(meta={}), dict(meta=dict(cfg="")), dict(message_hub=dict())])
def test_no_config(checkpoint):
    with pytest.raises(EmbeddedConfigError, match=r"x\.pth holds no config"):
        read_embedded_config(checkpoint, "x.pth")


def test_the_way_out_is_said_for_python_and_for_a_command_line():
    text = "custom_imports = dict(imports=['two_scale'])"
    told = "'two_scale'; in Python, import it first.* command line instead of '-'"
    with pytest.raises(EmbeddedConfigError, match=told):
        read_embedded_config(dict(meta=dict(cfg=text)), "x.pth")
