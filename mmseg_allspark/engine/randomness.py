"""Random numbers as a function of where training is: nothing has to be stored for a run to go on exactly."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

_STREAMS = ("step", "labeled", "unlabeled")  # the order is part of the numbers drawn


@dataclass
class RandomStream:
    """A sequence of seeds, one for each number.

    Args:
        name: ``'step'`` for training steps, ``'labeled'`` or ``'unlabeled'`` for samples of these images.
        seed: The run's seed.
        rank: Of this process.
    """

    name: str
    seed: int
    rank: int

    def seed_step(self, number: int) -> None:
        """Seed the generators of Python, numpy and torch (all devices, without synchronising any)."""
        python, numpy, own = self._draw(number)
        random.seed(python)
        np.random.seed(numpy)
        torch.manual_seed(own)

    @contextmanager
    def seeded_sample(self, number: int) -> Iterator[None]:
        """Seed the generators of Python, numpy and torch on the CPU, and put their states back afterwards."""
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        python, numpy, own = self._draw(number)
        random.seed(python)
        np.random.seed(numpy)
        torch.default_generator.manual_seed(own)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])

    def _draw(self, number: int) -> tuple[int, np.ndarray, int]:
        """Seeds for Python, numpy and torch, independent of each other and of those of any other number."""
        sequence = np.random.SeedSequence([self.seed, self.rank, _STREAMS.index(self.name), number])
        words = sequence.generate_state(8)
        return int(words[0]) << 32 | int(words[1]), words[2:6], (int(words[6]) << 32 | int(words[7])) >> 1
