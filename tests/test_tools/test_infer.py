"""tools/infer.py: files in, painted images, label PNGs and videos out."""

import re
import shutil

import cv2
import mmcv
import numpy as np
import pytest
from builders import CROP
from mmengine.config import Config
from PIL import Image

from mmseg_allspark.inference import SegInferencer


@pytest.fixture
def images(data, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(data / "img", folder, ignore=lambda _, names: [name for name in names if "val" not in name])
    return folder


def written(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder(infer, images, tmp_path, trained, capsys):
    assert infer(images, "--out", tmp_path / "out", "--labels", "--batch-size", 2, "--opacity", 0) == 0
    assert written(tmp_path / "out") == [f"{kind}/val{n}.png" for kind in ("labels", "painted") for n in (0, 1)]
    expected = SegInferencer(trained / "config.py", trained / "iter_2.pth", device="cpu")
    for name in ("val0.png", "val1.png"):
        labels = Image.open(tmp_path / "out/labels" / name)
        assert labels.mode == "L"
        np.testing.assert_array_equal(np.asarray(labels), expected(str(images / name))["predictions"])
        painted = cv2.imread(str(tmp_path / "out/painted" / name))
        np.testing.assert_array_equal(painted, cv2.imread(str(images / name)))  # opacity 0: the image itself
    assert "2 images labeled" in capsys.readouterr().out


def test_labels_have_the_numbers_of_the_masks_as_those_of_test_py(load_tool, trained, data, tmp_path, monkeypatch):
    cfg = Config.fromfile(trained / "config.py")
    cfg.test_dataloader.dataset.reduce_zero_label = True
    cfg.dump(str(tmp_path / "config.py"))
    line = [str(tmp_path / "config.py"), str(trained / "iter_2.pth")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    load_tool("test").main([*line, "--work-dir", str(tmp_path / "work"), "--out", str(tmp_path / "test")])
    files = [str(data / f"img/val{number}.png") for number in (0, 1)]
    for numbers in ("masks", "classes"):
        options = ["--out", str(tmp_path / numbers), "--labels", "--label-numbers", numbers, "--device", "cpu"]
        assert load_tool("infer").main([*line, *files, *options]) == 0
    evaluated, masks, classes = (
        np.stack([np.asarray(Image.open(tmp_path / folder / f"val{number}.png")) for number in (0, 1)])
        for folder in ("test", "masks/labels", "classes/labels")
    )
    np.testing.assert_array_equal(masks, evaluated)
    np.testing.assert_array_equal(masks, classes + 1)


def test_colours_are_rgb(infer, images, tmp_path):
    palette = [[200, 10, 0], [0, 200, 10], [10, 0, 200], [90, 90, 0]]
    infer(images / "val0.png", "--out", tmp_path, "--labels", "--opacity", 1, "--palette", str(palette))
    labels, painted = (np.asarray(Image.open(tmp_path / kind / "val0.png")) for kind in ("labels", "painted"))
    np.testing.assert_array_equal(painted, np.asarray(palette)[labels])


def test_a_video(infer, video, tmp_path):
    assert infer(video, "--out", tmp_path / "out", "--labels", "--batch-size", 2) == 0
    reader = mmcv.VideoReader(str(tmp_path / "out/painted/clip.mp4"))
    assert (reader.frame_cnt, reader.width, reader.height) == (5, 96, 64)
    assert reader.fps == pytest.approx(12.5)
    frames = sorted((tmp_path / "out/labels/clip.mp4").iterdir())
    assert [path.name for path in frames] == [f"{number:06d}.png" for number in range(5)]
    assert Image.open(frames[0]).size == (96, 64)


def test_what_cannot_be_read_is_skipped_and_counted(infer, images, video, tmp_path, capsys):
    (images / "bad.jpg").write_bytes(b"no image")
    (images / "cut.mp4").write_bytes(video.read_bytes()[:60])
    (tmp_path / "empty").mkdir()
    assert infer(tmp_path / "empty", images, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "bad.jpg" in said and "cut.mp4" in said and "empty holds no image" in said
    assert "2 images labeled" in said and "3 inputs could not be read" in said
    assert written(tmp_path / "out") == ["painted/val0.png", "painted/val1.png"]


def test_equal_names_and_subfolders(infer, images, tmp_path):
    for folder in ("a", "b"):
        (images / folder).mkdir()
        shutil.copy(images / "val0.png", images / folder / "val0.png")
    Image.fromarray(np.zeros((CROP, CROP, 3), np.uint8)).save(images / "val1.jpg")
    infer(images, "--recursive", "--out", tmp_path / "one")
    names = ["a/val0.png", "b/val0.png", "val0.png", "val1.jpg.png", "val1.png.png"]
    assert written(tmp_path / "one" / "painted") == names
    infer(images / "a/val0.png", images / "b/val0.png", "--out", tmp_path / "two")
    assert written(tmp_path / "two" / "painted") == ["val0.png.png", "val0.png_2.png"]


def test_results_of_an_earlier_run_are_no_inputs(infer, images, capsys):
    for _ in range(2):
        assert infer(images, "--recursive", "--out", images / "out") == 0
        assert "2 images labeled" in capsys.readouterr().out


def test_an_input_is_never_overwritten(infer, images, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    images.rename(tmp_path / "out/painted")
    image = tmp_path / "out/painted/val0.png"
    before = image.read_bytes()
    with pytest.raises(SystemExit) as stop:
        infer(image, "--out", tmp_path / "out")
    said = capsys.readouterr().err
    assert stop.value.code == 2 and len(said.splitlines()) == 1 and said.startswith("infer.py: error: The result ")
    assert re.search(r"val0\.png would overwrite the input .*val0\.png: give another --out", said)
    assert image.read_bytes() == before


def fails_in_one_line(infer, capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        infer(*arguments)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and len(said.splitlines()) == 1
    assert said.startswith("infer.py: error: ")
    return said


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("no.jpg", [], "no.jpg does not exist"),
        ("in", ["--cfg-options", "model.decode_head.channels=32"], "does not fit the config's model"),
        ("in", ["--palette", "[[1,2,3"], "argument --palette: '[[1,2,3' is no list of colours"),
    ],
)
def test_errors_are_one_line(infer, images, tmp_path, capsys, source, options, message):
    (tmp_path / "empty").mkdir()
    assert message in fails_in_one_line(infer, capsys, tmp_path / source, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_frames_never_meet_other_results_or_inputs(infer, images, video, tmp_path, capsys):
    (images / "clip").mkdir()
    shutil.copy(images / "val0.png", images / "clip/000000.png")
    shutil.copy(video, images / "clip.mp4")
    assert infer(images, "--recursive", "--out", tmp_path / "out", "--labels") == 0
    found = written(tmp_path / "out/labels")
    assert "clip/000000.png" in found and "clip.mp4/000000.png" in found
    assert Image.open(tmp_path / "out/labels/clip/000000.png").size == (CROP, CROP)  # the image's, not a frame's
    frames = tmp_path / "out/labels/clip.mp4"
    said = fails_in_one_line(infer, capsys, frames / "000003.png", video, "--out", tmp_path / "out", "--labels")
    assert "would overwrite the input" in said
