"""Whatever a whole config says: a trained iteration, or an error that names the key. Never a hang or a wrong type."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from builders import write_data
from fuzz_configs import Case, all_cases, all_configs
from fuzz_misfits import misfit_cases, random_cases
from hypothesis import HealthCheck, Phase, given, settings
from mmengine.config import Config
from mmengine.runner import Runner
from time_limit import time_limit

pytestmark = pytest.mark.filterwarnings("ignore")
RUNS = count()


def train(cfg: Config) -> float:
    """Run a config; returns the loss."""
    cfg.experiment_name, cfg.log_level = f"fuzz{next(RUNS)}", "ERROR"
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter >= 1, "nothing was trained"
    return runner.message_hub.get_scalar("train/loss").current()


def judge(case: Case) -> str:
    """'trained' or 'named', else what is wrong with the answer."""
    with time_limit():
        try:
            loss = train(case.config())
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            named = any(word.lower() in text.lower() for word in case.words)
            return "named" if named else f"does not name {case.words}: {text}"
    if case.wrong:
        return "trained though the value does not fit"
    return "trained" if math.isfinite(loss) else f"trained with loss {loss}"


@dataclass
class Tally:
    """How many cases of each component were trained, named or answered wrongly."""

    counts: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, case: Case, room: str = "") -> None:
        answer = judge(case)
        if answer not in ("trained", "named"):
            self.wrong.append(f"{case}: {answer}")
            answer = "wrong"
        self.counts[room or case.kind, answer] += 1

    def close(self) -> int:
        for room in sorted({room for room, _ in self.counts}):
            trained, named = self.counts[room, "trained"], self.counts[room, "named"]
            print(f"{room:>30}: {trained:4d} trained, {named:4d} named the key")
        answers = Counter()
        for (_, answer), number in self.counts.items():
            answers[answer] += number
        print(f"{answers.total()} cases: {dict(answers)}")
        assert not self.wrong, "\n".join(self.wrong)
        return answers.total()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As of other tests, but half of four labeled images are left: AEL pastes what others of a batch show."""
    return write_data(tmp_path_factory.mktemp("data"), labeled=4)


@pytest.mark.slow
def test_the_configs_themselves_train(data: Path, tmp_path: Path):
    assert all(math.isfinite(train(cfg)) for cfg in all_configs(data, tmp_path))


@pytest.mark.slow
def test_what_does_not_fit_together(data: Path, tmp_path: Path):
    tally = Tally()
    for case in misfit_cases(data, tmp_path):
        tally.add(case, "whole config")
    tally.close()


@pytest.mark.slow
def test_every_key(data: Path, tmp_path: Path):
    tally = Tally()
    for case in all_cases(data, tmp_path):
        tally.add(case)
    assert tally.close() >= 1500


@pytest.mark.parametrize("examples", [15, pytest.param(500, marks=pytest.mark.slow)])
def test_anything_anywhere(data: Path, tmp_path: Path, examples: int):
    tally = Tally()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=[*HealthCheck])  # fmt: skip
    @given(random_cases(data, tmp_path))
    def try_it(case: Case) -> None:
        tally.add(case)

    try_it()
    assert tally.close() >= examples - 5
