"""Batches that are kept are the task's, made once."""

import torch
from fake_depth import fake_task, tiny

from netadapt.training import TrainSettings, fit, wrapped
from netadapt.training.wrapped import CachedBatches, WrappedTask


class Counted(WrappedTask):
    def __init__(self, task):
        super().__init__(task)
        self.made = []

    def train_batch(self, draw, batch_size, seed):
        self.made.append((draw, seed))
        return super().train_batch(draw, batch_size, seed)


def fitted(task, seed=0):
    model = tiny()
    fit(model, task, TrainSettings(steps=3, batch_size=4, lr=0.01, seed=seed))
    return model.state_dict()


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_candidates_learn_the_same_from_cached_batches_as_from_new_ones():
    counted = Counted(fake_task())
    cached = CachedBatches(counted, "cpu")
    wanted = fitted(fake_task())
    assert same(fitted(cached), wanted)
    assert same(fitted(cached), wanted)
    assert sorted(counted.made) == [(0, 0), (1, 0), (2, 0)]


def test_batches_of_another_seed_replace_those_before():
    counted = Counted(fake_task())
    cached = CachedBatches(counted, "cpu")
    assert same(fitted(cached, seed=1), fitted(fake_task(), seed=1))
    assert same(fitted(cached, seed=0), fitted(fake_task(), seed=0))
    fitted(cached, seed=1)
    assert len(counted.made) == 9


def test_batches_beyond_the_limit_are_made_again(monkeypatch):
    inputs, targets = fake_task().train_batch(0, 4, 0)
    monkeypatch.setattr(wrapped, "CACHE_ON_CPU", 2 * (inputs.nbytes + targets.nbytes))
    counted = Counted(fake_task())
    cached = CachedBatches(counted, "cpu")
    fitted(cached)
    assert same(fitted(cached), fitted(fake_task()))
    assert len(counted.made) == 3 + 1


def test_targets_by_name_are_cached_too():
    class Named(WrappedTask):
        def train_batch(self, draw, batch_size, seed):
            inputs, targets = super().train_batch(draw, batch_size, seed)
            assert isinstance(targets, torch.Tensor)
            return inputs, {"depth": targets, "valid": targets > 0}

    cached = CachedBatches(Named(fake_task()), "cpu")
    first, again = (cached.train_batch(0, 4, 0) for _ in range(2))
    assert isinstance(first[1], dict)
    assert first[1].keys() == {"depth", "valid"}
    assert again[1] is first[1]
    torch.testing.assert_close(first[0], fake_task().train_batch(0, 4, 0)[0], rtol=0, atol=0)
