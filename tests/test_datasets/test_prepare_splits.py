import json

import pytest
from builders import ROOT

from mmseg_allspark.datasets.published_splits import PUBLISHED, Fingerprint, PublishedDataset

from .prepare_tools import run, snapshot, write_ids

TOOL = "splits"

SHARED = ROOT.parent / "shared/splits"
needs_lists = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/splits, the published lists")

# one line of a list in the published layouts
PLAIN = dict.fromkeys(PUBLISHED, "{}")
IMAGE_AND_MASK = dict(
    voc="JPEGImages/{0}.jpg SegmentationClass/{0}.png",
    cityscapes="leftImg8bit/{0}_leftImg8bit.png gtFine/{0}_gtFine_labelTrainIds.png",
    coco="train2017/{0}.jpg masks/{0}.png",
)
IMAGE = dict(voc="JPEGImages/{}.jpg", cityscapes="leftImg8bit/{}_leftImg8bit.png", coco="./images/train2017/{}.jpg")


TRAIN = [f"2008_{n:06d}" for n in range(40)]
VAL = [f"2009_{n:06d}" for n in range(6)]
LABELED = {"5": TRAIN[30:25:-1], "1_4": TRAIN[::4], "u2pl_1_4": TRAIN[39::-4]}


@pytest.fixture
def small_voc(monkeypatch, tmp_path):
    """A table of three small splits and, as SRC, a clone in UniMatch's layout; 1_4 and u2pl_1_4 are equally long."""
    table = PublishedDataset(
        Fingerprint.of(TRAIN), Fingerprint.of(VAL), {name: Fingerprint.of(ids) for name, ids in LABELED.items()}
    )
    monkeypatch.setitem(PUBLISHED, "voc", table)
    for name, ids in LABELED.items():
        folder = tmp_path / "clone/splits/pascal" / name
        write_ids(folder / "labeled.txt", ids, IMAGE_AND_MASK["voc"])
        write_ids(folder / "unlabeled.txt", sorted(set(TRAIN) - set(ids)), IMAGE_AND_MASK["voc"])
    write_ids(tmp_path / "clone/splits/pascal/val.txt", VAL, IMAGE_AND_MASK["voc"])
    write_ids(tmp_path / "clone/splits/coco/1_4/labeled.txt", ["000000000009"], IMAGE_AND_MASK["coco"])
    write_ids(tmp_path / "clone/splits/levir/val.txt", ["no list", "of ours"])
    return tmp_path / "clone"


def test_lists_are_written_in_the_published_order(tool, small_voc, tmp_path):
    out = tmp_path / "out"
    assert run(tool, "voc", small_voc, "--out", out) == 0
    for name, ids in LABELED.items():
        folder = out / "splits/voc" / name
        assert (folder / "labeled.txt").read_text().split() == ids
        assert (folder / "unlabeled.txt").read_text().split() == sorted(set(TRAIN) - set(ids))
        info = json.loads((folder / "info.json").read_text())
        assert (info["split"], info["labeled"], info["unlabeled"]) == (name, len(ids), 40 - len(ids))
    assert (out / "splits/voc/val.txt").read_text().split() == VAL
    before = snapshot(out), snapshot(small_voc)
    assert run(tool, "voc", small_voc, "--out", out) == 0
    assert (snapshot(out), snapshot(small_voc)) == before


def test_lists_of_any_name_are_told_by_their_ids(tool, small_voc, tmp_path, capsys):
    source, out = tmp_path / "u2pl/data/splits/pascal", tmp_path / "out"
    write_ids(source / "10/labeled.txt", LABELED["u2pl_1_4"])
    write_ids(source / "train_aug.txt", TRAIN)
    assert run(tool, "voc", tmp_path / "u2pl", "--out", out) == 0
    assert [p.name for p in (out / "splits/voc").iterdir()] == ["u2pl_1_4"]
    rest = (out / "splits/voc/u2pl_1_4/unlabeled.txt").read_text().split()
    assert rest == [i for i in TRAIN if i not in LABELED["u2pl_1_4"]]
    assert "Not in SRC: 5, 1_4, val" in capsys.readouterr().out


def test_train_aug_of_the_data_gives_the_unlabeled_ids(tool, small_voc, tmp_path, capsys):
    source, out = tmp_path / "lists", tmp_path / "VOC2012"
    write_ids(source / "anything.txt", LABELED["5"])
    assert run(tool, "voc", source, "--out", out) == 1
    assert "--image-ids" in capsys.readouterr().err and not out.exists()
    write_ids(out / "ImageSets/Segmentation/train_aug.txt", TRAIN)
    assert run(tool, "voc", source, "--out", out) == 0
    rest = (out / "splits/voc/5/unlabeled.txt").read_text().split()
    assert rest == [i for i in TRAIN if i not in LABELED["5"]]
    (tmp_path / "disk").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "images/JPEGImages").symlink_to(tmp_path / "disk", target_is_directory=True)
    for name in TRAIN:
        (tmp_path / f"disk/{name}.jpg").touch()
    assert run(tool, "voc", source, "--out", tmp_path / "other", "--image-ids", tmp_path / "images") == 0
    assert (tmp_path / "other/splits/voc/5/unlabeled.txt").read_text().split() == rest


@pytest.mark.parametrize(
    "change",
    [
        lambda ids: ids[1:],
        lambda ids: [*ids[1:], TRAIN[0]],
        lambda ids: [*ids[1:], ids[1]],
        lambda ids: [*ids[:3], "garbage", ids[4]],
    ],
)
def test_a_damaged_list_is_not_taken(tool, small_voc, tmp_path, capsys, change):
    write_ids(small_voc / "splits/pascal/5/labeled.txt", change(LABELED["5"]))
    arguments = ("voc", small_voc, "--out", tmp_path / "out", "--splits")
    assert run(tool, *arguments, "5", "1_4") == 1
    assert "no list that holds exactly the published labeled ids of voc 5. It has: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(tool, *arguments, "1_4") == 0
    assert [p.name for p in sorted((tmp_path / "out/splits/voc").iterdir())] == ["1_4", "val.txt"]


def test_what_does_not_exist_is_named(tool, small_voc, tmp_path, capsys):
    assert run(tool, "voc", small_voc, "--out", tmp_path / "out", "--splits", "1_3") == 1
    assert "voc has 5, 1_4, u2pl_1_4" in capsys.readouterr().err
    assert run(tool, "voc", tmp_path / "nowhere") == 1
    assert "not a folder" in capsys.readouterr().err


def test_validation_images_are_never_trained_on(tool, monkeypatch, small_voc, tmp_path, capsys):
    table = PublishedDataset(Fingerprint(40), PUBLISHED["voc"].val, PUBLISHED["voc"].labeled)  # as COCO: count only
    monkeypatch.setitem(PUBLISHED, "voc", table)
    ids = write_ids(tmp_path / "ids.txt", [*TRAIN[:39], VAL[2]])
    (small_voc / "splits/pascal/5/unlabeled.txt").unlink()
    assert run(tool, "voc", small_voc, "--out", tmp_path / "out", "--splits", "5", "--image-ids", ids) == 1
    assert "1 training ids are also in" in capsys.readouterr().err


def test_other_lists_need_force(tool, small_voc, tmp_path, capsys):
    listed = write_ids(tmp_path / "out/splits/voc/5/labeled.txt", TRAIN[:5])
    arguments = ("voc", small_voc, "--out", tmp_path / "out", "--splits", "5")
    assert run(tool, *arguments) == 1
    assert "--force" in capsys.readouterr().err and listed.read_text().split() == TRAIN[:5]
    assert run(tool, *arguments, "--force") == 0
    assert listed.read_text().split() == LABELED["5"]


def test_download(tool, small_voc, tmp_path, capsys):
    address = (small_voc / "splits").as_uri()
    assert run(tool, "voc", "--out", tmp_path / "out", "--url", address) == 0
    assert (tmp_path / "out/splits/voc/5/labeled.txt").read_text().split() == LABELED["5"]
    (small_voc / "splits/pascal/1_4/labeled.txt").unlink()
    assert run(tool, "voc", "--out", tmp_path / "other", "--url", address) == 1
    message = capsys.readouterr().err
    assert "pascal/1_4/labeled.txt cannot be downloaded" in message and "as SRC" in message
    assert not (tmp_path / "other").exists()


def published(dataset: str, name: str, kind: str = "labeled") -> list[str]:
    return (SHARED / dataset / name / f"{kind}.txt").read_text().split()


def training_ids(dataset: str) -> list[str]:
    if dataset == "voc":
        return (SHARED / "voc/train_aug.txt").read_text().split()
    if dataset == "cityscapes":
        return published(dataset, "1_2") + published(dataset, "1_2", "unlabeled")
    # COCO's own ids are not in the lists: any others fill up to the right number
    ids = dict.fromkeys(i for name in PUBLISHED["coco"].labeled for i in published("coco", name))
    return [*ids, *(f"9{n:011d}" for n in range(118287 - len(ids)))]


def by_count(dataset: str, name: str) -> str:
    home = dict(voc="pascal", cityscapes="cityscapes", coco="coco")[dataset]
    return f"data/splitsall/{home}{'_u2pl' * name.startswith('u2pl')}/{PUBLISHED[dataset].labeled[name].count}"


LAYOUTS = dict(
    ours=(lambda dataset, name: f"{dataset}/{name}", PLAIN),
    unimatch=(lambda d, name: f"splits/{d.replace('voc', 'pascal')}/{name}", IMAGE_AND_MASK),
    u2pl=(by_count, IMAGE),
)


@needs_lists
@pytest.mark.parametrize(
    ("layout", "dataset"), [("ours", "voc"), ("unimatch", "cityscapes"), ("u2pl", "voc"), ("unimatch", "coco")]
)
@pytest.mark.slow
def test_published_lists_come_out_as_they_are(tool, tmp_path, dataset, layout):
    place, line = LAYOUTS[layout]
    train, source, out = training_ids(dataset), tmp_path / "src", tmp_path / "out"
    for number, name in enumerate(PUBLISHED[dataset].labeled):
        labeled = published(dataset, name)
        write_ids(source / place(dataset, name) / "labeled.txt", labeled, line[dataset])
        if number == 0 and layout != "ours":
            rest = sorted(set(train) - set(labeled))
            write_ids(source / place(dataset, name) / "unlabeled.txt", rest, line[dataset])
    home = (source / place(dataset, name)).parent
    write_ids(home / "val.txt", (SHARED / dataset / "val.txt").read_text().split(), line[dataset])
    if layout == "ours":
        write_ids(out / "ImageSets/Segmentation/train_aug.txt", train)
    assert run(tool, dataset, source, "--out", out) == 0
    for name in PUBLISHED[dataset].labeled:
        folder = out / "splits" / dataset / name
        assert (folder / "labeled.txt").read_bytes() == (SHARED / dataset / name / "labeled.txt").read_bytes()
        rest = sorted(set(train) - set(published(dataset, name)))
        assert (folder / "unlabeled.txt").read_text().split() == rest
    assert (out / "splits" / dataset / "val.txt").read_bytes() == (SHARED / dataset / "val.txt").read_bytes()
