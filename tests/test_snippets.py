"""Each command of README and documentation: its tool exists and knows the options, its config files are there."""

import contextlib
import io
import re
import runpy
import shlex
import sys
from functools import cache

import pytest
from builders import ROOT
from test_docs import PAGES


def commands_of(page):
    """Words of each command of a page, without comments and variables set before it."""
    blocks = re.findall(r"^```(?:bash|shell)\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        words = shlex.split(re.sub(r"<[^>]*>", "X", line), comments=True)
        while words and re.match(r"\w+=", words[0]):
            words.pop(0)
        if words:
            yield words


COMMANDS = [(page, words) for page in PAGES for words in commands_of(page)]


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
        if re.match(r"(tools|configs|docker|tests)/\S*\.\w+$", word) and "*" not in word:
            assert (ROOT / word).is_file(), f"{page}: {word}"
    tools = [word for word in words if re.fullmatch(r"tools/\S+\.(py|sh)", word)]
    if not tools or tools[0] in ("tools/test.sh", "tools/setup_env.sh"):
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
