from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import DefaultSampler, InfiniteSampler

from mmseg_allspark.engine import StreamBatchSampler


def stream(size, batch_size, kind=DefaultSampler, seed=0, shuffle=True, **options):
    return StreamBatchSampler(kind(range(size), shuffle=shuffle, seed=seed), batch_size, **options)


def take(batches, number):
    return list(islice(iter(batches), number))


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(2, 9),
    batch_size=st.integers(1, 4),
    start=st.integers(0, 12),
    cycle=st.booleans(),
    drop_last=st.booleans(),
    kind=st.sampled_from([DefaultSampler, InfiniteSampler]),
)
def test_seek_continues_the_uninterrupted_stream(size, batch_size, start, cycle, drop_last, kind):
    options = dict(cycle=cycle, drop_last=drop_last and size >= batch_size)
    whole = take(stream(size, batch_size, kind, **options), start + 5)
    resumed = stream(size, batch_size, kind, **options)
    resumed.seek(start)
    assert take(resumed, 5) == whole[start:]


def test_epoch_set_from_outside_does_not_disturb():
    """mmengine's DistSamplerSeedHook sets it in the middle of the stream."""
    expected = take(stream(6, 2), 12)
    disturbed, got = stream(6, 2), []
    for number, batch in enumerate(islice(iter(disturbed), 12)):
        got.append(batch)
        disturbed.sampler.set_epoch(number + 7)
    assert got == expected


@pytest.mark.parametrize(
    ("size", "text"), [(0, "data set is empty"), (3, "3 images per rank give no batch of batch_size=4")]
)
def test_no_batch_at_all_is_an_error(size, text):
    with pytest.raises(ValueError, match=text):
        stream(size, 4, drop_last=True)


def test_an_infinite_sampler_is_iterated_once():
    """A second time it has nothing, for ever; that would hang."""
    sampler = StreamBatchSampler(InfiniteSampler(range(4), shuffle=True, seed=0), batch_size=2, cycle=True)
    first = iter(sampler)
    next(first)
    first.close()
    with pytest.raises(RuntimeError, match="can be iterated once"):
        next(iter(sampler))
