"""Images that cannot be read, in a run: unlabeled ones are skipped, labeled ones stop it, whatever the data set."""

import pytest
from builders import dataset_config, loader_config, train, write_data


@pytest.fixture
def spoilt(tmp_path):
    """Return a function that gives data with one unreadable image in a set."""

    def spoil(name):
        data = write_data(tmp_path / "data", labeled=3, unlabeled=8)
        (data / "img" / f"{name}1.png").write_bytes(b"no image")
        return data

    return spoil


def run(data, work_dir, **load):
    """Two passes over the unlabeled images."""
    config = dataset_config(data, "unlabeled")
    config["pipeline"][0].update(load)
    loader = loader_config(data, "unlabeled", dataset=config)
    train(data, work_dir, loop=dict(max_epochs=2, unlabeled_dataloader=loader))
    return next(work_dir.glob("*/*.log")).read_text()


def test_unlabeled_ones_are_skipped_and_named(spoilt, tmp_path):
    log = run(spoilt("unlabeled"), tmp_path / "run")
    assert "Skipped, another image takes its place" in log
    assert log.count("unlabeled1.png (8 bytes) cannot be decoded") == 1


def test_unlabeled_ones_may_stop_the_run(spoilt, tmp_path):
    with pytest.raises(ValueError, match="unlabeled1.png"):
        run(spoilt("unlabeled"), tmp_path / "run", unreadable="stop")


def test_labeled_ones_stop_it(spoilt, tmp_path):
    with pytest.raises(ValueError, match="labeled1.png"):
        run(spoilt("labeled"), tmp_path / "run")
