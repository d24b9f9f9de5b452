import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from netadapt.errors import UserError
from netadapt.training.curves import logged, logged_steps
from netadapt.training.progress import Silent


class Heard(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def step(self, step: int, loss: float, lr: float) -> None:
        self.steps.append(step)


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_a_training_leaves_its_curves_and_is_still_shown(tmp_path: Path) -> None:
    shown = Heard()
    with logged(shown, tmp_path / "logs") as progress:
        progress.started(0, 3)
        for step in (1, 2, 3):
            progress.step(step, 1.0 / step, 0.5)
        progress.evaluated(3, {"delta1": 0.75})
    assert shown.steps == [1, 2, 3]
    losses = curve(tmp_path / "logs", "loss")
    assert [step for step, _ in losses] == [1, 2, 3]
    assert [loss for _, loss in losses] == pytest.approx([1.0, 1 / 2, 1 / 3])
    assert curve(tmp_path / "logs", "lr") == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert curve(tmp_path / "logs", "holdout/delta1") == [(3, 0.75)]


def test_a_short_fine_tune_leaves_its_loss(tmp_path: Path) -> None:
    with logged_steps(tmp_path / "1-conv1") as on_step:
        assert on_step is not None
        on_step(1, 2.0, 0.1)
    assert curve(tmp_path / "1-conv1", "loss") == [(1, 2.0)]


def test_without_a_folder_nothing_is_added() -> None:
    shown = Heard()
    with logged(shown, None) as progress, logged_steps(None) as on_step:
        assert progress is shown
        assert on_step is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot write .*file/logs: "),
        logged(Silent(), tmp_path / "file" / "logs"),
    ):
        pass


def test_the_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ModuleNotFoundError) as error, logged(Silent(), tmp_path / "logs"):
        pass
    assert error.value.name == "tensorboard"
    assert not (tmp_path / "logs").exists()
