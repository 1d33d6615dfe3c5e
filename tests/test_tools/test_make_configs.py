"""tools/dev/make_configs.py: what is on disk is what families.yaml says."""

import shutil
import sys

from builders import ROOT

sys.path.insert(0, str(ROOT / "tools/dev"))
import make_configs


def test_files_are_up_to_date():
    assert make_configs.main(["--check"]) == 0


def test_an_edited_file_is_noticed_and_written_again(tmp_path, capsys):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    edited = tmp_path / "configs/allspark/segformer_b5_voc_1-16.py"
    text = edited.read_text()
    edited.write_text(text.replace("voc/92", "voc/93"))
    (tmp_path / "configs/supervised/segformer_b5_voc_full.py").unlink()
    root = ["--root", str(tmp_path)]
    assert make_configs.main([*root, "--check"]) == 1
    assert "segformer_b5_voc_1-16.py" in capsys.readouterr().out
    assert make_configs.main(root) == 0
    assert edited.read_text() == text
    assert make_configs.main([*root, "--check"]) == 0


def test_every_cell_has_its_config_and_its_figure_in_the_table():
    cells = list(make_configs.read_cells(ROOT / make_configs.SOURCE))
    assert len(cells) > 50
    for cell in cells:
        assert (ROOT / "configs" / cell.method / f"{cell.name}.py").is_file()
        assert (ROOT / "configs" / cell.method / f"{cell.lead}.py").is_file()
        if cell.paper is not None:
            assert (
                f"{cell.paper:.2f} (table {cell.table})" in (ROOT / "configs" / cell.method / "README.md").read_text()
            )
