"""What train.py and test.py refuse before they build anything."""

import re
from urllib.error import URLError

import pytest
from builders import ROOT, model_config, run_config
from mmengine.config import Config


@pytest.fixture
def checks(load_tool):
    return load_tool("_config_checks")


CONFIG = Config(
    dict(
        max_iters=10,
        data_root="data/a",
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=10),
        train_dataloader=dict(dataset=dict(type="CamVidDataset", data_root="data/a", ann_file="labeled.txt")),
        model=dict(
            backbone=dict(init_cfg=dict(type="Pretrained", checkpoint="https://there/b0.pth")), neck=dict(init_cfg=None)
        ),
    )
)


def test_a_palette_that_does_not_fit_the_classes_is_named_once(checks):
    meta = dict(classes=tuple("abcdefgh"), palette=[(0, 0, 0)] * 3)
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type="BaseSegDataset", metainfo=meta))))
    with pytest.raises(ValueError, match="palette has 3 colours, classes has 8 names: edit `palette`"):
        checks.check_palettes(cfg)
    checks.check_palettes(CONFIG)


def test_an_option_that_only_the_file_reads_is_refused(checks):
    with pytest.raises(ValueError, match=r"max_iters=... has no effect.*Set train_cfg.max_iters\."):
        checks.check_options(CONFIG, {"max_iters": 2})
    with pytest.raises(ValueError, match=r"Set train_dataloader.dataset.data_root\."):
        checks.check_options(CONFIG, {"data_root": "x"})
    with pytest.raises(ValueError, match=r"trian_cfg.max_iters=... has no effect.* Is train_cfg meant\?"):
        checks.check_options(CONFIG, {"trian_cfg.max_iters": 2})
    checks.check_options(CONFIG, {"train_cfg.max_iters": 2, "unlabeled_dataloader.batch_size": 1, "work_dir": "w"})


CAMVID = "allspark/segformer_b0_camvid_1-16"
CROPPED = """crop_size = (129, 129)
crop = [dict(type="RandomCrop", crop_size=crop_size), dict(type="Pad", size=crop_size)]
train_dataloader = dict(dataset=dict(pipeline=crop))
unlabeled_dataloader = dict(dataset=dict(pipeline=crop))
"""


@pytest.mark.parametrize(
    ("base", "line", "keys"),
    [
        (CAMVID, "crop_size = (129, 129)", r"train_dataloader.dataset.pipeline.3.crop_size, .*pipeline.4.size, "),
        ("supervised/segformer_b0_own-data", "max_iters = 500", r"train_cfg.max_iters"),
    ],
)
def test_a_variable_that_only_the_base_reads_is_refused(load_tool, tmp_path, base, line, keys):
    (tmp_path / "child.py").write_text(f"_base_ = '{ROOT}/configs/{base}.py'\n{line}\n")
    (tmp_path / "grandchild.py").write_text("_base_ = 'child.py'\n")
    for name in ("child.py", "grandchild.py"):
        with pytest.raises(ValueError, match=rf"child.py has no effect.*Set .*{keys}"):
            load_tool("train").main([str(tmp_path / name)])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (CROPPED, []),  # with pipelines that use it
        ("crop_size = (257, 257)", []),  # as in the base
        ("", ["--cfg-options", "train_dataloader.dataset.pipeline.3.crop_size=129"]),
    ],
)
def test_another_crop_is_taken_where_the_pipelines_have_it(load_tool, tmp_path, text, options):
    (tmp_path / "child.py").write_text(f"_base_ = '{ROOT}/configs/{CAMVID}.py'\n{text}\n")
    train = load_tool("train")
    assert train.load_config(train.parse_args([str(tmp_path / "child.py"), *options])).train_dataloader


VARIABLES = """interval, name, root, norm_cfg = 1000, "b0", "data/a", dict(type="SyncBN", requires_grad=True)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=interval))
model = dict(backbone=dict(norm_cfg=norm_cfg, name=name))
train_dataloader = dict(dataset=dict(data_root=root))
"""


@pytest.mark.parametrize(
    ("child", "grandchild"),
    [
        ("interval = 50\nlog_processor = dict(window_size=2 * interval)", ""),
        ("interval = 50", "log_processor = dict(window_size={{_base_.interval}})"),
        ("root = 'data/b'\nval_dataloader = dict(dataset=dict(data_root=f'{root}/c'))", ""),
        ("_base_ = '{{fileDirname}}/base.py'", ""),
    ],
)
def test_a_variable_with_an_effect_of_any_kind_is_taken(load_tool, tmp_path, recwarn, child, grandchild):
    write_chain(tmp_path, child, grandchild)
    train = load_tool("train")
    assert train.load_config(train.parse_args([str(tmp_path / "grandchild.py")])).model
    assert not [warning for warning in recwarn if "no effect" in str(warning.message)]


@pytest.mark.parametrize("hook", ["PseudoLabelStatisticsHook", "EMAHook"])
def test_a_hook_in_both_kinds_of_hooks_is_refused(checks, hook):
    cfg = Config.fromfile(ROOT / "configs/allspark/resnet18-tiny_synthetic.py")
    checks.check_hooks(cfg)
    cfg.custom_hooks = [dict(type="ChannelsLastHook"), dict(type=hook)]
    with pytest.raises(ValueError, match=f"custom_hooks.1 is {hook}, and default_hooks.* both would run. Change"):
        checks.check_hooks(cfg)


def test_a_dict_that_only_the_base_reads_is_warned_of(load_tool, tmp_path):
    write_chain(tmp_path, "norm_cfg = dict(type='BN')")  # swin-tiny_upernet_levir of mmseg's zoo does this
    train = load_tool("train")
    with pytest.warns(UserWarning, match=r"norm_cfg=.*'BN'.*child.py has no effect.* Set model.backbone.norm_cfg;"):
        train.load_config(train.parse_args([str(tmp_path / "grandchild.py")]))


def write_chain(folder, child, grandchild=""):
    (folder / "base.py").write_text(VARIABLES)
    (folder / "child.py").write_text(f"_base_ = 'base.py'\n{child}\n")
    (folder / "grandchild.py").write_text(f"_base_ = 'child.py'\n{grandchild}\n")


def test_a_misspelled_key_of_the_config_is_noticed(checks, load_tool, tmp_path, recwarn):
    checks.warn_of_misspelled_keys(Config(CONFIG.to_dict() | dict(test_pipeline=[], num_classes=2, optimizer=dict())))
    assert not recwarn.list
    path = tmp_path / "config.py"
    Config(CONFIG.to_dict() | dict(custom_hook=[])).dump(path)
    train = load_tool("train")
    with pytest.warns(UserWarning, match="has custom_hook, which nothing reads. Is custom_hooks meant"):
        train.load_config(train.parse_args([str(path)]))


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("optim_wrapper.optimizer.learning_rate=0.1", r"optimizer has no key 'learning_rate'. It has lr, "),
        ("train_dataloader.sampler.shufle=True", r"train_dataloader.sampler has no key 'shufle'; is 'shuffle' meant"),
        ("val_dataloader.dataset.imgsuffix=.png", r"val_dataloader.dataset has no key .*; is 'img_suffix' meant"),
        ("val_dataloader=[1,2]", "val_dataloader must be a config dict, got a list of 2"),
    ],
)
@pytest.mark.parametrize("tool", ["train", "prepare/check_data"])
def test_keys_that_nothing_takes_are_refused(load_tool, data, tmp_path, capsys, tool, option, text):
    run_config(data, tmp_path / "run", loop=dict(max_iters=1), validate=True).dump(tmp_path / "c.py")
    with pytest.raises((TypeError, SystemExit)) as error:
        load_tool(tool).main([str(tmp_path / "c.py"), "--cfg-options", option])
    assert re.search(text, str(error.value) + capsys.readouterr().err)


def test_missing_folders_and_lists_are_named(checks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"train_dataloader.dataset.data_root='data/a' is not a folder \(looked in /"
    ):
        checks.check_data_paths(CONFIG)
    (tmp_path / "data/a").mkdir(parents=True)
    (tmp_path / "data/a/labelled.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"ann_file='labeled.txt' is not in data/a.*holds labelled.txt"):
        checks.check_data_paths(CONFIG)
    (tmp_path / "data/a/labeled.txt").touch()
    checks.check_data_paths(CONFIG)


def test_pretrained_weights_are_found_named_where_missing_and_left_out(checks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config(CONFIG.to_dict())
    assert checks.pretrained_weights(cfg) == {"model.backbone.init_cfg.checkpoint": "https://there/b0.pth"}
    cfg.model.backbone.init_cfg.checkpoint = "weights/b0.pth"
    with pytest.raises(FileNotFoundError, match=r"model.backbone.init_cfg.checkpoint='weights/b0.pth' is not a file"):
        checks.check_pretrained_files(cfg)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/b0.pth").touch()
    checks.check_pretrained_files(cfg)
    monkeypatch.setenv("HOME", str(tmp_path))
    cfg.model.backbone.init_cfg.checkpoint = "~/weights/b0.pth"
    checks.check_pretrained_files(cfg)
    cfg.model.backbone.pretrained = True  # TIMMBackbone
    checks.drop_pretrained(cfg)  # a checkpoint replaces them
    assert cfg.model.backbone.init_cfg is None and checks.pretrained_weights(cfg) == {}
    assert cfg.model.backbone.pretrained is False


def test_a_failed_download_names_key_address_and_remedy(load_tool, monkeypatch, tmp_path):
    path = tmp_path / "config.py"
    cfg = Config(CONFIG.to_dict())
    cfg.pop("train_dataloader")
    cfg.dump(path)
    train = load_tool("train")

    class Offline:
        def register_hook(self, hook):
            pass

        def train(self):
            raise URLError("Name or service not known")

    monkeypatch.setattr(train, "build_runner", lambda cfg: Offline())
    with pytest.raises(
        RuntimeError, match=r"service not known\): model.backbone.init_cfg.checkpoint=https://there/b0.pth"
    ):
        train.main([str(path), "--work-dir", str(tmp_path)])


def test_a_supervised_training_needs_the_same_zero_in_all_masks(load_tool, data, tmp_path):
    cfg = run_config(
        data,
        tmp_path,
        loop=dict(max_iters=1),
        validate=True,
        model=model_config(type="EncoderDecoder", neck=None),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=1),
    )
    cfg.train_dataloader.dataset.reduce_zero_label = True
    train = load_tool("train")
    with pytest.raises(ValueError, match="train_dataloader.dataset.reduce_zero_label=True, val_dataloader.*=False"):
        train.train(cfg, train.parse_args([__file__]))
