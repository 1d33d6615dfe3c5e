r"""Execute a Dockerfile's stage in a folder, where no Docker engine runs: its RUN steps in a chroot, in order.

    mmdebstrap --variant=minbase --include=python3,python3-pip,python-is-python3,ca-certificates \
        --customize-hook='rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' bookworm root
    python tools/dev/run_dockerfile_steps.py root --target cpu --bind /opt/wheels

ROOT stands in for the stage's base image and is changed. ARG, ENV, WORKDIR, USER, COPY (with .dockerignore) and RUN
(with cache mounts) do what they do in a build; CMD and ENTRYPOINT are not run, HEALTHCHECK is run once, at the end,
as the user. Needs root, Linux and ``unshare``. Host folders, and pip's settings (PIP_*) and certificates, come along.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FROM_HOST = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")


def say(text: str) -> None:
    """Tell the user, before a step that may take minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass
class Step:
    """One instruction of a Dockerfile: ``word`` in capitals, the ``text`` after it, the number of its first line."""

    word: str
    text: str
    line: int


def parse(content: str) -> list[Step]:
    """Split a Dockerfile into instructions; continued lines are joined, comments dropped.

    Raises:
        ValueError: On a heredoc, which this parser does not know.
    """
    steps: list[Step] = []
    open_line = False
    for number, line in enumerate(content.splitlines(), 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        body = line.strip().removesuffix("\\")
        if open_line:
            steps[-1].text += " " + body.strip()
        else:
            word, _, text = body.partition(" ")
            steps.append(Step(word.upper(), text.strip(), number))
        if "<<" in body and steps[-1].word in ("RUN", "COPY"):
            raise ValueError(f"line {number}: heredocs are not supported: {body}")
        open_line = line.rstrip().endswith("\\")
    return steps


def substitute(text: str, variables: dict[str, str]) -> str:
    """Replace ``$NAME``, ``${NAME}`` and ``${NAME:-default}``; unknown names become empty, as in Docker."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], "") or found[3] or "", text)


def stage(steps: list[Step], target: str | None) -> tuple[dict[str, str], list[Step]]:
    """Find one stage.

    Args:
        steps: Of the whole Dockerfile.
        target: Name after ``AS``; the last stage without.

    Returns:
        Defaults of the ARGs before the first FROM, and the stage's steps with its FROM.

    Raises:
        ValueError: There is no such stage.
    """
    starts = [index for index, step in enumerate(steps) if step.word == "FROM"]
    arguments = dict(split_pair(step.text) for step in steps[: starts[0]] if step.word == "ARG")
    stages = {}
    for start, end in zip(starts, [*starts[1:], len(steps)], strict=True):
        stages[steps[start].text.split()[-1]] = steps[start:end]
    name = target or list(stages)[-1]
    if name not in stages:
        raise ValueError(f"no stage {name!r}; the Dockerfile has {', '.join(stages)}")
    return arguments, stages[name]


def split_pair(text: str) -> tuple[str, str]:
    """``NAME="value"`` -> its two parts, unquoted; no value is an empty one."""
    name, _, value = text.partition("=")
    return name, "".join(shlex.split(value))


def copy_context(context: Path, source: str, target: Path, owner: int) -> None:
    """COPY of one source, without what ``.dockerignore`` names."""
    ignore = context / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def ignored(folder: str, names: list[str]) -> set[str]:
        prefix = Path(folder).relative_to(context)
        return {name for name in names if is_ignored(prefix / name, patterns)}

    origin = context / source
    if origin.is_dir():
        shutil.copytree(origin, target, ignore=ignored, dirs_exist_ok=True, symlinks=True)
    else:
        shutil.copy2(origin, target)
    copied = [target, *target.rglob("*")] if origin.is_dir() else [target / origin.name if target.is_dir() else target]
    for path in copied:
        os.chown(path, owner, owner, follow_symlinks=False)


def is_ignored(path: Path, patterns: list[str]) -> bool:
    """Whether ``.dockerignore`` leaves a path out: patterns count from the top, ``**/`` means any depth."""
    for pattern in patterns:
        if pattern.startswith("**/"):
            if fnmatch(path.name, pattern[3:]):
                return True
        elif len(path.parts) == len(Path(pattern).parts) and fnmatch(str(path), pattern):
            return True
    return False


@dataclass
class Build:
    """State of a build: what the instructions so far have set."""

    root: Path
    context: Path
    cache: Path
    build_args: dict[str, str]
    outer_args: dict[str, str]
    binds: list[str]
    args: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    workdir: str = "/"
    user: str = "0"

    def do(self, step: Step) -> bool:
        """Carry out one step; returns whether it was one that this tool carries out."""
        variables = self.args | self.env
        if step.word == "ARG":
            name, value = split_pair(step.text)
            default = value if "=" in step.text else self.outer_args.get(name, "")
            self.args[name] = self.build_args.get(name, substitute(default, variables))
        elif step.word == "ENV":
            pairs = (split_pair(pair) for pair in re.findall(r'\w+=(?:"[^"]*"|\S*)', step.text))
            self.env |= {name: substitute(value, variables) for name, value in pairs}
        elif step.word == "WORKDIR":
            self.workdir = os.path.join(self.workdir, substitute(step.text, variables))
            (self.root / self.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif step.word == "USER":
            self.user = substitute(step.text, variables)
        elif step.word == "COPY":
            self.copy(substitute(step.text, variables).split())
        elif step.word == "RUN":
            self.run(step.text)
        elif step.word == "HEALTHCHECK":
            self.run(shlex.join(json.loads(step.text[step.text.index("[") :])))
        else:
            return False
        return True

    def copy(self, words: list[str]) -> None:
        """Carry out COPY.

        Raises:
            ValueError: On another option than ``--chown``.
        """
        owner = 0
        while words[0].startswith("--"):
            option, _, value = words.pop(0).partition("=")
            if option != "--chown":
                raise ValueError(f"COPY {option} is not supported")
            owner = int(value)
        target = self.root / os.path.join(self.workdir, words[-1]).lstrip("/")
        for source in words[:-1]:
            copy_context(self.context, source, target, owner)

    def run(self, text: str) -> None:
        """Carry out RUN in the chroot, in mount and process namespaces of its own.

        Raises:
            subprocess.CalledProcessError: The command failed.
        """
        mounts = [f"mount --rbind {path} {self.root}{path}" for path in ("/dev", "/sys")]
        mounts.append(f"mount -t proc proc {self.root}/proc")
        while text.startswith("--mount="):
            option, _, text = text.partition(" ")
            mounted = dict(pair.split("=") for pair in option.removeprefix("--mount=").split(","))
            cache = self.cache / mounted["target"].strip("/").replace("/", "_")
            cache.mkdir(exist_ok=True)
            mounts.append(self.bind(str(cache), mounted["target"]))
        mounts += [self.bind(path, path) for path in (*self.binds, *FROM_HOST) if Path(path).exists()]
        home = {} if "HOME" in self.env else {"HOME": "/root"}
        variables = self.args | self.env | home
        variables |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        settings = shlex.join(f"{name}={value}" for name, value in variables.items())
        inside = shlex.join(["/bin/sh", "-c", f"cd {self.workdir} && {text.strip()}"])
        script = " && ".join(mounts)
        script += f" && exec chroot --userspec={self.user}:{self.user} {self.root} env -i {settings} {inside}"
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script], check=True)

    def bind(self, source: str, target: str) -> str:
        """Return the command that shows a file or folder of the host in the chroot."""
        place = self.root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(exist_ok=True) if Path(source).is_dir() else place.touch()
        return f"mount --bind {source} {place}"


def main(argv: Sequence[str] | None = None) -> int:
    """Execute the stage; return 1 at the first step that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with the root file system of a base image; is changed")
    parser.add_argument("--file", type=Path, default=PROJECT / "docker/Dockerfile")
    parser.add_argument("--context", type=Path, default=PROJECT)
    parser.add_argument("--target", help="stage to execute (default: the last)")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--bind", action="append", default=[], metavar="FOLDER", help="host folder to show in the root")
    args = parser.parse_args(argv)
    if os.geteuid() != 0 or not (args.root / "bin/sh").exists():
        parser.error(f"needs to be root, and {args.root}/bin/sh: the root file system of a base image")
    outer, steps = stage(parse(args.file.read_text()), args.target)
    build_args = dict(pair.split("=", 1) for pair in args.build_arg)
    skipped = []
    with tempfile.TemporaryDirectory() as cache:
        build = Build(args.root.resolve(), args.context.resolve(), Path(cache), build_args, outer, args.bind)
        for step in steps:
            start = time.monotonic()
            say(f"--- line {step.line}: {step.word} {step.text}")
            try:
                done = build.do(step)
            except subprocess.CalledProcessError as error:
                say(f"--- line {step.line} FAILED with exit code {error.returncode}")
                return 1
            skipped += [] if done else [f"line {step.line} {step.word}"]
            if step.word in ("RUN", "HEALTHCHECK"):
                say(f"--- line {step.line}: done in {time.monotonic() - start:.0f} s")
    say(f"All steps ended well. Not executed: {', '.join(skipped)} (no base image is pulled, nothing is started).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
