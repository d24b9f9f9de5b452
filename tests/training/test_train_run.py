import signal
from dataclasses import replace

import pandas as pd
import pytest
import torch
from fake_depth import SIZE, TINY, config, fake_task, tiny

from netadapt.errors import UserError
from netadapt.training import (
    TrainFolder,
    TrainSettings,
    checkpoint_info,
    compute_device,
    fit,
    load_checkpoint,
    read_config,
    run_training,
    save_checkpoint,
)
from netadapt.training.progress import Silent

MODEL_FILES = ("model.safetensors", "last.safetensors", "best.safetensors")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A training that nobody disturbed."""
    out = tmp_path_factory.mktemp("train") / "run"
    run_training(config(), fake_task(), out)
    return out


def test_the_folder_holds_what_was_done(uninterrupted):
    folder = TrainFolder(uninterrupted)
    assert read_config(uninterrupted) == config()
    history = pd.read_csv(folder.history)
    assert list(history["step"]) == [2, 4, 6, 8, 9]
    best = int(history["delta1"].argmax())
    info = checkpoint_info(folder.best)
    assert info["step"] == history["step"][best]
    assert info["delta1_holdout"] == history["delta1"][best]
    for path, step in {folder.best: best, folder.last: 4, folder.final: 4}.items():
        model = load_checkpoint(path)
        assert model.spec.input_size == SIZE
        again = fake_task().score(model, "holdout")["delta1"]
        assert again == pytest.approx(history["delta1"][step], abs=1e-3)


def test_resuming_a_finished_training_changes_nothing(uninterrupted, tmp_path):
    before = {name: (uninterrupted / name).read_bytes() for name in MODEL_FILES}
    run_training(config(), fake_task(), uninterrupted, resume=True)
    assert before == {name: (uninterrupted / name).read_bytes() for name in MODEL_FILES}


def test_resuming_with_other_settings_is_refused(uninterrupted):
    with pytest.raises(UserError, match=r"with other settings: lr was 0\.002, not 0\.1$"):
        run_training(config(lr=0.1), fake_task(), uninterrupted, resume=True)
    other = replace(config(seed=1), task_options={"loss": "berhu"})
    with pytest.raises(UserError, match="loss was l1, not berhu; seed was 0, not 1"):
        run_training(other, fake_task(), uninterrupted, resume=True)


class Interrupting(Silent):
    """Presses Ctrl-C during the step ``at``, ``times`` times; notes where a training begins."""

    def __init__(self, at: int = 0, times: int = 1) -> None:
        self.at, self.times = at, times
        self.begun, self.last, self.told = -1, 0, 0

    def started(self, step: int, total: int) -> None:
        self.begun = step

    def step(self, step: int, loss: float, lr: float) -> None:
        self.last = step
        if step == self.at:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)

    def stopping(self) -> None:
        self.told += 1


@pytest.mark.parametrize("eval_every", [2, 500])
@pytest.mark.parametrize("step", [1, 2, 3, 8])
def test_an_interrupt_saves_the_step_in_progress_and_loses_nothing(tmp_path, step, eval_every):
    asked = config(eval_every=eval_every)
    usual = signal.getsignal(signal.SIGINT)
    progress = Interrupting(step)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_training(asked, fake_task(), out, progress=progress)
    assert signal.getsignal(signal.SIGINT) is usual
    assert (progress.last, progress.told) == (step, 1)
    again = Interrupting()
    final = run_training(asked, fake_task(), out, resume=True, progress=again)
    assert again.begun == step
    whole = run_training(asked, fake_task(), tmp_path / "whole")
    for name in MODEL_FILES:
        assert (final.parent / name).read_bytes() == (whole.parent / name).read_bytes()
    histories = (pd.read_csv(folder / "history.csv", dtype=str) for folder in (out, whole.parent))
    one, other = (history.drop(columns="seconds") for history in histories)
    pd.testing.assert_frame_equal(one, other)


def test_an_interrupt_during_the_last_step_finds_the_training_done(tmp_path, uninterrupted):
    final = run_training(config(), fake_task(), tmp_path / "run", progress=Interrupting(9))
    assert final.read_bytes() == (uninterrupted / final.name).read_bytes()


def test_the_second_interrupt_saves_nothing_more(tmp_path, uninterrupted):
    progress = Interrupting(3, times=2)
    with pytest.raises(KeyboardInterrupt):
        run_training(config(), fake_task(), tmp_path / "run", progress=progress)
    assert progress.told == 1
    again = Interrupting()
    final = run_training(config(), fake_task(), tmp_path / "run", resume=True, progress=again)
    assert again.begun == 2
    assert final.read_bytes() == (uninterrupted / final.name).read_bytes()


def test_a_folder_in_use_is_left_alone(uninterrupted):
    before = sorted((p.name, p.stat().st_mtime_ns) for p in uninterrupted.iterdir())
    with pytest.raises(UserError, match="exists and is not empty"):
        run_training(config(), fake_task(), uninterrupted)
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in uninterrupted.iterdir())


def test_nothing_is_written_when_the_model_cannot_be_had(tmp_path):
    with pytest.raises(UserError, match="unknown model"):
        run_training(config(model="resnet"), fake_task(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_with_an_average_it_is_scored_and_kept_as_best_and_result(tmp_path):
    out = tmp_path / "run"
    whole = run_training(config(ema=0.9), fake_task(), out)
    history = pd.read_csv(TrainFolder(out).history)
    for path in (TrainFolder(out).best, whole):
        info = checkpoint_info(path)
        again = fake_task().score(load_checkpoint(path), "holdout")["delta1"]
        row = history["step"] == info["step"]
        assert again == pytest.approx(history["delta1"][row].item(), abs=1e-3)


def test_a_checkpoint_is_trained_on_from_its_weights(tmp_path):
    start = tmp_path / "start.safetensors"
    trained(start)
    out = run_training(config(model=str(start), lr=1e-30, steps=1), fake_task(), tmp_path / "run")
    before, after = load_checkpoint(start), load_checkpoint(out)
    for (name, ours), (_, theirs) in zip(
        after.named_parameters(), before.named_parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-20, msg=name)


def test_a_fresh_network_follows_the_seed_and_gets_its_head_start(tmp_path):
    first, second, other = (
        load_checkpoint(
            run_training(config(lr=1e-30, steps=1, seed=seed), fake_task(), tmp_path / name)
        )
        for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert torch.equal(first.conv0[0].weight, second.conv0[0].weight)
    assert not torch.equal(first.conv0[0].weight, other.conv0[0].weight)
    assert 2 < first.decode_conv6[1].bias.item() < 4


def untrained(path):
    save_checkpoint(tiny(seed=3), path, input_size=SIZE)


def trained(path):
    model = tiny(seed=3)
    fit(model, fake_task(), TrainSettings(steps=3, batch_size=4, lr=0.01))
    save_checkpoint(model, path, input_size=SIZE)


@pytest.mark.parametrize("given", ["model", "init_from"])
@pytest.mark.parametrize(("saved", "starts"), [(untrained, True), (trained, False)])
def test_a_head_gets_the_statistics_of_the_data_if_it_was_never_trained(
    tmp_path, given, saved, starts
):
    start = tmp_path / "start.safetensors"
    saved(start)
    before = load_checkpoint(start).decode_conv6[1].bias.item()
    how = config(lr=1e-30, steps=1)
    how = config(lr=1e-30, steps=1, model=str(start)) if given == "model" else how
    how = replace(how, init_from=str(start)) if given == "init_from" else how
    head = load_checkpoint(run_training(how, fake_task(), tmp_path / "run")).decode_conv6[1]
    assert (2 < head.bias.item() < 4) if starts else head.bias.item() == pytest.approx(before)


def test_a_damaged_folder_is_said_so(uninterrupted, tmp_path):
    with pytest.raises(UserError, match=r"training .* does not exist"):
        read_config(tmp_path / "none")
    (tmp_path / "config.json").write_text('{"model": 3}')
    with pytest.raises(UserError, match=r"config\.json is damaged: model"):
        read_config(tmp_path)
    for path in uninterrupted.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "history.csv").write_text("nonsense")
    with pytest.raises(UserError, match=r"history\.csv is damaged"):
        run_training(config(), fake_task(), tmp_path, resume=True)


def test_devices_by_name():
    assert compute_device("cpu") == torch.device("cpu")
    for name in ("tpu", "cuda:x", "cuda:99"):
        with pytest.raises(UserError, match=f"device '?{name}"):
            compute_device(name)


def test_options_reach_the_builder(uninterrupted):
    assert load_checkpoint(uninterrupted / "last.safetensors").spec.options == {"widths": TINY}
