"""The teacher against a hand computation: parameters, statistics of batch norm, counters, and the memory."""

import pytest
import torch
from builders import build_model, semi_batch
from torch import nn

from mmseg_allspark.models import TeacherAverage


def student():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def step(model, seed):
    """A forward in train mode, which moves the statistics, and another set of weights."""
    generator = torch.Generator().manual_seed(seed)
    model.train()(torch.randn(2, 3, 5, 5, generator=generator) * (seed + 1))
    for parameter in model.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator)
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("warmup", [False, True])
def test_average_is_that_of_the_formula(warmup):
    model = student()
    teacher = TeacherAverage(model, momentum=0.1, warmup=warmup)
    assert len(list(teacher.buffers())) == len(list(model.buffers())) + 1  # mmengine counts its steps in one
    expected = None
    for index in range(6):
        state = step(model, index)
        teacher.update_parameters(model)
        share = max(0.1, 1 / (index + 1)) if warmup else 0.1
        if expected is None:
            expected = state  # mmengine: the first update is a copy
        for name, value in state.items():
            if value.dtype == torch.float32:
                expected[name] = (1 - share) * expected[name] + share * value
            else:
                expected[name] = value
        for name, value in teacher.module.state_dict().items():
            torch.testing.assert_close(value, expected[name], msg=f"{name} after step {index}")
    assert teacher.module.state_dict()["1.num_batches_tracked"] == 6
    assert not torch.allclose(expected["1.running_var"], model.state_dict()["1.running_var"])


@pytest.mark.parametrize("buffers", ["copy", "own"])
def test_buffers_are_the_students_or_the_teachers_own(buffers):
    model = student()
    teacher = TeacherAverage(model, momentum=0.1, buffers=buffers)
    for index in range(3):
        before = {name: value.clone() for name, value in teacher.module.named_buffers()}
        state = step(model, index)
        teacher.update_parameters(model)
        for name, value in teacher.module.named_buffers():
            copied = buffers == "copy" or index == 0  # the first update is a copy
            assert torch.equal(value, state[name] if copied else before[name]), name
    assert not torch.equal(teacher.module[0].weight, model[0].weight)


def test_a_memory_is_copied_and_not_averaged():
    model = build_model()
    teacher = TeacherAverage(model, momentum=0.1)
    for seed in range(3):
        model(**semi_batch(model, seed=seed), mode="loss")
        teacher.update_parameters(model)
    copy = teacher.module.neck.memory
    for name, buffer in model.neck.memory.named_buffers():
        assert torch.equal(buffer, copy.get_buffer(name)), name
    assert model.neck.memory.enqueued.sum() > 0


@pytest.mark.parametrize("momentum", [-0.1, 0.0, 1.0, 1.5])
def test_bad_momentum(momentum):
    with pytest.raises(ValueError, match="TeacherAverage.momentum=.* is outside"):
        TeacherAverage(student(), momentum=momentum)
