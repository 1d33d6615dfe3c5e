import shutil

import numpy as np
import pytest
import torch
from builders import CLASSES, CROP
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from mmseg.registry import MODELS
from PIL import Image
from torch import nn

from mmseg_allspark.datasets.transforms import DataFileError
from mmseg_allspark.inference import SegInferencer, load_model
from mmseg_allspark.inference.models import reduces_zero_label
from mmseg_allspark.methods import SemiSegmentor
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint


@pytest.fixture(scope="module")
def inferencer(trained):
    return SegInferencer(trained / "config.py", trained / "iter_2.pth", device="cpu")


@pytest.fixture
def images(data):
    return sorted(map(str, (data / "img").glob("*.png")))


def expected(trained, path):
    """mmseg's older interface, which is independent of the inferencer."""
    model = init_model(str(trained / "config.py"), str(trained / "iter_2.pth"), device="cpu")
    return inference_model(model, path).pred_sem_seg.data[0].numpy()


def test_the_three_lines(trained, images):
    labels = SegInferencer(str(trained / "config.py"), str(trained / "iter_2.pth"), device="cpu")(images[0])[
        "predictions"
    ]
    assert labels.shape == (CROP, CROP)
    assert set(np.unique(labels)) <= set(range(len(CLASSES)))
    np.testing.assert_array_equal(labels, expected(trained, images[0]))


def test_the_config_inside_the_checkpoint(trained, inferencer, images):
    alone = SegInferencer(None, trained / "iter_2.pth", device="cpu")
    np.testing.assert_array_equal(alone(images[1])["predictions"], inferencer(images[1])["predictions"])
    assert tuple(alone.model.dataset_meta["classes"]) == CLASSES


def test_folder_glob_array_and_list_agree(data, inferencer, images):
    one_by_one = [inferencer(path)["predictions"] for path in images]
    array = np.asarray(Image.open(images[0]))[..., ::-1].copy()  # BGR
    np.testing.assert_array_equal(inferencer(array)["predictions"], one_by_one[0])
    for source in (data / "img", str(data / "img" / "*.png"), images):
        many = inferencer(source, batch_size=3)["predictions"]
        assert len(many) == len(one_by_one)
        assert all(np.array_equal(a, b) for a, b in zip(many, one_by_one, strict=True))


def test_a_video_in_the_folder_is_no_image(inferencer, images, tmp_path):
    shutil.copy(images[0], tmp_path / "a.png")
    (tmp_path / "clip.mp4").touch()
    assert len(inferencer(str(tmp_path))["predictions"].shape) == 2


def test_images_of_several_sizes_in_a_batch(inferencer):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (*size, 3), np.uint8) for size in ((70, 90), (65, 65), (70, 90), (90, 70))]
    together = inferencer(pictures, batch_size=4)["predictions"]
    for picture, labels in zip(pictures, together, strict=True):
        assert labels.shape == picture.shape[:2]
        np.testing.assert_array_equal(labels, inferencer(picture)["predictions"])
    streamed = list(inferencer.stream(pictures, batch_size=3))
    assert [each.source for each in streamed] == [0, 1, 2, 3]
    assert all(np.array_equal(each.labels, labels) for each, labels in zip(streamed, together, strict=True))
    assert all(each.seconds > 0 for each in streamed)


def test_unreadable_images(inferencer, images, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    sources = [images[0], str(tmp_path / "bad.png"), images[1]]
    with pytest.raises(DataFileError, match=r"bad\.png"):
        inferencer(sources)
    with pytest.raises(DataFileError, match=r"bad\.png"):
        list(inferencer.stream(sources))
    found = list(inferencer.stream(sources, batch_size=2, unreadable="skip"))
    assert [each.source for each in found] == sources
    assert [each.labels is None for each in found] == [False, True, False]
    assert "bad.png" in str(found[1].error)


def test_colours(trained, inferencer, images):
    palette = [[9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 9, 9]]
    own = SegInferencer(trained / "config.py", trained / "iter_2.pth", device="cpu", palette=palette)
    drawn = own(images[0], return_vis=True, opacity=1.0, with_labels=False)
    colours = np.asarray(palette)[drawn["predictions"]]
    np.testing.assert_array_equal(drawn["visualization"], colours)
    assert len(inferencer.model.dataset_meta["palette"]) == len(CLASSES)  # the data set has none
    with pytest.raises(ValueError, match="19 colours; the model has 4 classes"):
        SegInferencer(trained / "config.py", trained / "iter_2.pth", device="cpu", palette="cityscapes")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cfg: cfg.model.update(neck=None), r"Only in the checkpoint, not used: neck \(19 entries from neck\."),
        (lambda cfg: cfg.model.decode_head.update(channels=32), r"Of another shape .*decode_head\."),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(trained, change, message):
    cfg = Config.fromfile(trained / "config.py")
    change(cfg)
    with pytest.raises(
        ValueError, match=rf"iter_2\.pth does not fit the config's model.*{message}.*trained with.*take '-'"
    ):
        SegInferencer(cfg, trained / "iter_2.pth", device="cpu")


def test_a_config_of_another_crop_fits(trained, images):
    cfg = Config.fromfile(trained / "config.py")
    cfg.model.neck.memory_size = tuple(side + 1 for side in cfg.model.neck.memory_size)
    labels = SegInferencer(cfg, trained / "iter_2.pth", device="cpu")(str(images[0]))["predictions"]
    np.testing.assert_array_equal(labels, expected(trained, images[0]))


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (dict(type="BaseSegDataset", reduce_zero_label=True), True),
        (dict(type="ADE20KDataset"), True),  # its own default
        (dict(type="UnlabeledDataset", source="x"), False),  # the default of the class above
        (dict(type="RepeatDataset", dataset=dict(type="ConcatDataset", datasets=[dict(type="ADE20KDataset")])), True),
    ],
)
def test_whether_masks_count_from_one(dataset, expected):
    assert reduces_zero_label(Config(dict(test_dataloader=dict(dataset=dataset)))) == expected


def test_missing_files_are_named(trained):
    with pytest.raises(FileNotFoundError, match=r"no\.pth"):
        SegInferencer(trained / "config.py", "no.pth")
    with pytest.raises(FileNotFoundError, match=r"no\.py does not exist"):
        SegInferencer("no.py", trained / "iter_2.pth")


def test_the_average_is_used_the_trained_weights_can_be_chosen_and_the_file_is_read_once(
    trained, inferencer, monkeypatch
):
    loads = []
    monkeypatch.setattr(torch, "load", lambda *args, load=torch.load, **kw: loads.append(args[0]) or load(*args, **kw))
    model = SegInferencer(trained / "config.py", trained / "iter_2.pth", device="cpu", which="model")
    assert len(loads) == 1 and model.which == "model"
    stored = load_checkpoint(trained / "iter_2.pth")
    for which, prefix, found in (("state_dict", "", inferencer), ("ema_state_dict", "module.", model)):
        assert all(torch.equal(value, stored[which][prefix + k]) for k, value in found.model.state_dict().items())


def test_what_only_training_uses_is_what_its_modules_say(trained):
    """A checkpoint with a training-only part of any name, and a config without it."""
    cfg = Config.fromfile(trained / "config.py")
    cfg.model.alignment = None
    SegInferencer(cfg, trained / "iter_2.pth", device="cpu")

    @MODELS.register_module(force=True)
    class WithMixHead(SemiSegmentor):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.mix_head = nn.Conv2d(1, 1, 1)
            self.mix_head.training_only = True

    cfg.model.type = "WithMixHead"
    checkpoint = load_checkpoint(trained / "iter_2.pth")
    model, _ = load_model(cfg, checkpoint, "x.pth")  # the part is missing in the checkpoint
    checkpoint["state_dict"] = model.state_dict()
    cfg.model.alignment = dict()
    checkpoint["meta"]["cfg"] = cfg.pretty_text
    del checkpoint["message_hub"]  # has the config as well
    cfg.model.type = "SemiSegmentor"
    load_model(cfg, checkpoint, "x.pth", "ema")  # the config has no such part
    checkpoint["state_dict"]["other_head.weight"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"not used: .*other_head \(1 entries"):
        load_model(cfg, checkpoint, "x.pth", "ema")
