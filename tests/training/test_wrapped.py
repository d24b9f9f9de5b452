"""Batches that are kept are the task's, made once."""

import torch
from fake_depth import fake_task, tiny

from netadapt.training import TrainSettings, fit, wrapped
from netadapt.training.wrapped import KeptBatches, WrappedTask


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


def test_candidates_learn_the_same_from_kept_batches_as_from_new_ones():
    counted = Counted(fake_task())
    kept = KeptBatches(counted, "cpu")
    wanted = fitted(fake_task())
    assert same(fitted(kept), wanted)
    assert same(fitted(kept), wanted)
    assert sorted(counted.made) == [(0, 0), (1, 0), (2, 0)]


def test_another_seed_takes_the_place_of_the_batches_before():
    counted = Counted(fake_task())
    kept = KeptBatches(counted, "cpu")
    assert same(fitted(kept, seed=1), fitted(fake_task(), seed=1))
    assert same(fitted(kept, seed=0), fitted(fake_task(), seed=0))
    fitted(kept, seed=1)
    assert len(counted.made) == 9


def test_what_there_is_no_room_for_is_made_again(monkeypatch):
    inputs, targets = fake_task().train_batch(0, 4, 0)
    monkeypatch.setattr(wrapped, "KEPT_ON_CPU", 2 * (inputs.nbytes + targets.nbytes))
    counted = Counted(fake_task())
    kept = KeptBatches(counted, "cpu")
    fitted(kept)
    assert same(fitted(kept), fitted(fake_task()))
    assert len(counted.made) == 3 + 1


def test_targets_by_name_are_kept_too():
    class Named(WrappedTask):
        def train_batch(self, draw, batch_size, seed):
            inputs, targets = super().train_batch(draw, batch_size, seed)
            return inputs, {"depth": targets, "valid": targets > 0}

    kept = KeptBatches(Named(fake_task()), "cpu")
    first, again = (kept.train_batch(0, 4, 0) for _ in range(2))
    assert first[1].keys() == {"depth", "valid"}
    assert again[1] is first[1]
    torch.testing.assert_close(first[0], fake_task().train_batch(0, 4, 0)[0], rtol=0, atol=0)
