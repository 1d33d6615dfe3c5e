"""Every code block of README and documentation is run by a test, or stands here with the reason why not.

Whatever is claimed, each command's tool exists, knows the options, and its config files are there.
"""

import contextlib
import io
import re
import runpy
import shlex
import sys
from dataclasses import dataclass
from functools import cache

import pytest
from builders import ROOT

PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("README.md", "docs/*.md", "configs/*/README.md", "docker/README.md", "tools/**/README.md")
    for path in ROOT.glob(pattern)
)
OWN_DATA = "tests/test_own_data.py::test_the_page_leads_from_files_to_pictures"
QUICKSTART = "tests/test_readme.py::test_quickstart_runs_to_its_table_and_picture"
PAGE = "tests/test_tools/test_inference_page.py"
DOCS = "tests/test_tools/test_doc_pages.py"
FIGURES = (
    "checkpoints of hours of training, which are not in the repository; tests/test_tools/test_figures.py draws each "
    "figure from a small run"
)
PAPER = "needs GPUs and the paper's data; tests/test_config_runs.py trains and evaluates every config for an iteration"
DOCKER = "needs a Docker engine; tests/test_tools/test_docker.py runs the steps of the image and reads compose.yaml"

# (page, beginning of the block's first line): the test that runs the block, or why none does. The first that fits
# counts, and one that fits no block is an error.
RUN = {
    ("README.md", "bash tools/quickstart.sh"): QUICKSTART,
    (
        "docs/index.md",
        "bash tools/quickstart.sh",
    ): QUICKSTART,
    ("docs/get_started*.md", "bash tools/quickstart.sh"): (QUICKSTART),
    ("docs/get_started*.md", "python tools/prepare/synthetic.py"): f"{DOCS}::test_get_started",
    ("docs/configs.md", "from mmengine"): f"{DOCS}::test_python_of_the_configs_page",
    ("docs/configs.md", "python tools/train.py"): f"{DOCS}::test_get_started",
    ("docs/configs.md", "_base_ ="): f"{DOCS}::test_python_of_the_configs_page",
    ("docs/add_a_method.md", ""): f"{DOCS}::test_the_method_of_the_page_trains_and_is_one_python_file_and_one_config",
    ("docs/speed_options.md", "_base_ ="): f"{DOCS}::test_configs_of_the_other_pages",
    ("docs/watching_a_run.md", "visualizer ="): f"{DOCS}::test_configs_of_the_other_pages",
    ("docs/watching_a_run.md", "default_hooks ="): f"{DOCS}::test_configs_of_the_other_pages",
    ("docs/watching_a_run.md", "python tools/analysis/report.py"): (
        "tests/test_report/test_report.py::test_the_tool_takes_another_file_and_refuses_an_empty_folder"
    ),
    ("docs/compare_methods.md", "python tools/prepare/synthetic.py"): (
        "tests/test_tools/test_compare.py::test_the_commands_of_the_page"
    ),
    ("docs/comparison.md", "python tools/prepare/synthetic.py"): (
        "tests/test_tools/test_compare.py::test_the_commands_of_the_page"
    ),
    ("docs/compare_methods.md", "python tools/analysis/compare.py"): (
        "tests/test_tools/test_compare.py::test_the_commands_of_the_page"
    ),
    ("docs/figures.md", "from mmseg_allspark"): f"{DOCS}::test_recorder_of_the_figures_page",
    ("configs/guidedmix/README.md", "python tools/prepare/splits.py make"): (
        "tests/test_datasets/test_prepare_own_splits.py::test_lists_of_given_sizes_in_a_folder_of_their_own"
    ),
    ("configs/unimatch/README.md", "python tools/convert_reference_checkpoint.py"): (
        "tests/test_models/test_deeplabv3plus_head.py::test_imagenet_weights_of_a_resnet_with_a_deep_stem_load_strictly"
    ),
    ("docs/own_data.md", ""): OWN_DATA,
    ("docs/inference.md", "pip install 'torch"): f"{PAGE}::test_the_graphs",
    ("docs/inference.md", "import cv2"): f"{PAGE}::test_the_graphs",
    ("docs/inference.md", "python tools"): f"{PAGE}::test_the_commands",
    ("docs/inference.md", ""): f"{PAGE}::test_the_python_lines",
    ("docs/installed_package.md", "pip wheel"): (
        "tests/test_tools/test_packaging.py::test_an_installed_wheel_trains_the_quickstart_config"
    ),
    ("docs/reliability.md", "python tools/train.py CONFIG --resume"): (
        "tests/test_kill_resume.py::test_killed_and_resumed_runs_end_where_the_undisturbed_run_ends"
    ),
    ("docs/reliability.md", "python -m mmseg_allspark.doctor"): (
        "tests/test_tools/test_doctor.py::test_this_environment_is_well"
    ),
    ("docs/several_gpus.md", "tools/dist_train.sh"): (
        "tests/test_tools/test_dist_launch.py::test_two_ranks_end_with_equal_weights_after_images_of_their_own"
    ),
    ("docs/several_nodes.md", "# on node 0"): (
        "tests/test_tools/test_several_nodes.py::test_two_nodes_train_one_model"
    ),
    ("docs/several_nodes.md", "GPUS=8"): "tests/test_tools/test_several_nodes.py::test_slurm_tasks_train_one_model",
}
NOT_RUN = {
    ("docs/get_started*.md", "bash tools/test.sh"): "it is what runs this test",
    ("docs/get_started*.md", "pip install -e"): "changes the environment; tests/test_tools/test_packaging.py installs",
    ("README.md", "tools/dist_train.sh"): PAPER,
    ("configs/*/README.md", "tools/dist_train.sh"): PAPER,
    ("docs/results_camvid.md", "python tools/prepare/camvid.py"): (
        "needs CamVid and hours; tests/test_real_data.py trains it for some steps where it is there"
    ),
    ("docs/comparison.md", "python tools/prepare/camvid.py"): "as docs/results_camvid.md; the other block is run",
    ("docs/figures.md", ""): FIGURES,
    ("docs/several_nodes.md", "CONFIG="): DOCKER,
    ("docker/README.md", "docker"): DOCKER,
}
CLAIMS = RUN | NOT_RUN
PLACEHOLDERS = ("configs/allspark/my_data.py",)  # made by the page


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str

    @property
    def first(self):
        return self.text.strip().splitlines()[0]

    @property
    def claim(self):
        for (page, first), claim in CLAIMS.items():
            if re.fullmatch(page.replace(".", r"\.").replace("*", ".*"), self.page) and self.first.startswith(first):
                return (page, first), claim
        return None

    @property
    def commands(self):
        """Words of each command, without comments and variables set before it."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(re.sub(r"<[^>]*>", "X", line), comments=True)
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words:
                yield words


BLOCKS = [
    Block(page, language, text)
    for page in PAGES
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
]
COMMANDS = [(block.page, words) for block in BLOCKS if block.language != "python" for words in block.commands]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}: {block.first[:40]}")
def test_a_test_claims_the_block_or_a_reason_is_given(block):
    assert block.language in ("bash", "shell", "python")
    assert block.claim, f"no test runs this block of {block.page} and CLAIMS does not say why:\n{block.text}"


def test_no_claim_is_stale():
    assert {block.claim[0] for block in BLOCKS if block.claim} == set(CLAIMS)


@pytest.mark.parametrize("claim", sorted(set(RUN.values())))
def test_the_test_that_a_claim_names_exists(claim):
    path, _, function = claim.partition("::")
    assert f"def {function}(" in (ROOT / path).read_text()


@cache
def options_of(tool, *subcommand):
    """What ``--help`` of a tool says."""
    path = ROOT / tool
    said = io.StringIO()
    before = sys.argv, sys.path[:]
    sys.argv, sys.path[:0] = [tool, *subcommand, "--help"], [str(path.parent), str(ROOT / "tools")]
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = before
    assert "usage:" in said.getvalue()
    return said.getvalue()


SHELL = {
    "tools/dist_train.sh": "tools/train.py",
    "tools/slurm_train.sh": "tools/train.py",
    "tools/dist_test.sh": "tools/test.py",
    "tools/slurm_test.sh": "tools/test.py",
    "tools/quickstart.sh": "tools/quickstart.py",
}
WITH_SUBCOMMANDS = ("tools/analysis/figures.py", "tools/prepare/splits.py")


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=[f"{page}: {' '.join(words)[:60]}" for page, words in COMMANDS]
)
def test_tools_options_and_configs_of_a_command_exist(page, words):
    for word in words:
        if re.match(r"(tools|configs|docker|tests)/\S*\.\w+$", word) and "*" not in word and word not in PLACEHOLDERS:
            assert (ROOT / word).is_file(), f"{page}: {word}"
    tools = [word for word in words if re.fullmatch(r"tools/\S+\.(py|sh)", word)]
    if not tools or tools[0] == "tools/test.sh":
        return
    tool, rest = tools[0], words[words.index(tools[0]) + 1 :]
    used = {word.partition("=")[0] for word in rest if re.match(r"--\w", word)}
    if used:
        subcommand = rest[:1] if tool in WITH_SUBCOMMANDS else []
        known = set(re.findall(r"--[\w-]+", options_of(SHELL.get(tool, tool), *subcommand)))
        assert used <= known, f"{page}: {tool} does not know {used - known}"


def test_an_option_that_does_not_exist_is_noticed():
    with pytest.raises(AssertionError, match="does not know {'--resum'}"):
        test_tools_options_and_configs_of_a_command_exist("a page", ["python", "tools/train.py", "CONFIG", "--resum"])
