"""netadapt-fast: its saliency, what it learns from the base, its cost, and that it resumes."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from mortal import dies
from search_case import SIZE, made_up_table, search_on
from strategy_case import Case, taken

import netadapt
from netadapt.depth.models.fastdepth import GROUPS
from netadapt.errors import UserError
from netadapt.search.distillation import DistilledTask, Teacher
from netadapt.search.fisher import fisher_scores
from netadapt.search.journal import IterationBegan, Journal
from netadapt.training.checkpoint import save_checkpoint
from netadapt.training.loop import fit
from netadapt.training.settings import TrainSettings
from netadapt.training.task import Task
from netadapt.training.wrapped import CachedBatches

QUICK = {
    "initial_reduction": 0.004,
    "short_steps": 3,
    "saliency_batches": 1,
    "long_points": 1,
    "long_steps": 1,
}


class Regression(Task):
    """Any network on noise; the loss is a mean over examples."""

    name, primary, higher_is_better = "regression", "error", False
    metrics = ("error",)

    def __init__(self, channels=3, size=(8, 8)):
        self.spec, self.input_size, self.channels = "noise", size, channels

    def train_batch(self, draw, batch_size, seed):
        random = torch.Generator().manual_seed(1000 * seed + draw)
        shape = (batch_size, self.channels, *(self.input_size or ()))
        return torch.randn(shape, generator=random), torch.randn(batch_size, generator=random)

    def batches_per_epoch(self, batch_size):
        return 1

    def loss(self, model, inputs, targets):
        outputs = model(inputs)
        first = outputs[0] if isinstance(outputs, tuple) else outputs
        return (first.reshape(len(first), -1).mean(1) - targets).square().mean()

    def score(self, model, split):
        return {"error": 0.0}

    def check(self, model):
        pass


class Branching(torch.nn.Module):
    """Adds, concats, depthwise and grouped convolutions, a linear layer behind a flattening."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.depthwise = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.back = torch.nn.Conv2d(8, 8, 1)
        self.side = torch.nn.Conv2d(8, 4, 1)
        self.joined = torch.nn.Conv2d(12, 6, 3, stride=4, groups=2)
        self.head = torch.nn.Linear(6 * 2 * 2, 2)

    def forward(self, x):
        first = torch.relu(self.norm(self.stem(x)))
        second = first + self.back(self.depthwise(first))
        joined = torch.cat([second, torch.relu(self.side(second))], dim=1)
        return self.head(torch.relu(self.joined(joined)).flatten(1))


@pytest.fixture(scope="module")
def case(elsewhere, tmp_path_factory):
    return Case(elsewhere, tmp_path_factory.mktemp("case"))


def zeroed_reads(prunable, group, step, share):
    """The network whose layers read ``share`` of one step, by scaling the weights that do."""
    narrower = prunable.widths[group] - prunable.groups[group].step
    masked = prunable.masked({group: narrower}, one_out(prunable, group, step))
    part = prunable.pruned({})
    for ours, none in zip(part.parameters(), masked.parameters(), strict=True):
        with torch.no_grad():
            ours.copy_(share * ours + (1 - share) * none)
    return part


def one_out(prunable, group, step):
    scores = {name: np.ones(steps) for name, steps in steps_of(prunable).items()}
    scores[group][step] = 0.0
    return scores


def steps_of(prunable):
    return {name: group.width // group.step for name, group in prunable.groups.items()}


@pytest.mark.parametrize("batch_size", [1, 3])
def test_fisher_scores_are_squared_slopes_of_each_example(batch_size):
    torch.manual_seed(0)
    prunable = netadapt.trace(Branching().eval(), torch.rand(1, 3, 8, 8))
    prunable.model.double()
    task = DoubleRegression()
    got = fisher_scores(
        prunable, task, device=torch.device("cpu"), batches=2, batch_size=batch_size, seed=5
    )
    assert {group: len(values) for group, values in got.items()} == steps_of(prunable)
    difference = 1e-6
    for group, steps in steps_of(prunable).items():
        for step in (0, steps - 1):
            wanted = []
            for draw in range(2):
                inputs, targets = task.train_batch(draw, batch_size, 5)
                for each in range(batch_size):
                    one = inputs[each : each + 1], targets[each : each + 1]
                    losses = [
                        task.loss(zeroed_reads(prunable, group, step, 1 + d), *one)
                        for d in (difference, -difference)
                    ]
                    wanted.append((losses[0] - losses[1]).item() / (2 * difference))
            assert got[group][step] == pytest.approx(np.mean(np.square(wanted)) / 2, rel=1e-3)


class DoubleRegression(Regression):
    def train_batch(self, draw, batch_size, seed):
        inputs, targets = super().train_batch(draw, batch_size, seed)
        return inputs.double(), targets.double()


def test_a_teacher_adds_the_distance_from_its_answers():
    torch.manual_seed(0)
    teacher, student, task = Branching(), Branching().eval(), Regression()
    inputs, targets = task.train_batch(0, 4, 0)
    with torch.no_grad():
        distance = (student(inputs) - teacher.eval()(inputs)).abs().mean()
        wanted = task.loss(student, inputs, targets) + distance
    distilled = DistilledTask(task, Teacher(teacher.train()))
    loss = distilled.loss(student, inputs, targets)
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    assert student.stem.weight.grad is not None
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert teacher.training  # a copy of it answers, in eval mode
    assert not student._forward_hooks


def test_a_network_of_several_answers_learns_from_all():
    class Two(torch.nn.Module):
        def __init__(self, bias):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.tensor(bias))

        def forward(self, x):
            return x[:, 0, 0, 0] + self.bias, {"far": x[:, 0, 0, 0] - 3 * self.bias}

    task = Regression()
    inputs, targets = task.train_batch(0, 4, 0)
    loss = DistilledTask(task, Teacher(Two(1.0))).loss(Two(0.0), inputs, targets)
    torch.testing.assert_close(loss, task.loss(Two(0.0), inputs, targets) + (1.0 + 3.0) / 2)


class Counting(torch.nn.Module):
    """Answers with ``times`` as many numbers as it is asked; counts how often."""

    def __init__(self, times=1):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(2.0))
        self.times = times
        self.asked = []

    def __deepcopy__(self, memo):
        copied = Counting(self.times)
        copied.asked = self.asked
        return copied

    def forward(self, x):
        self.asked.append(x)
        return (self.factor * x).repeat(self.times, 1, 1, 1)


def test_a_teacher_answers_a_batch_once_as_long_as_the_batch_is_kept():
    network = Counting()
    teacher = Teacher(network)
    batches = [torch.rand(2, 3, 4, 4) for _ in range(3)]
    for _ in range(4):
        for batch in batches:
            (answer,) = teacher.answers(batch)
            torch.testing.assert_close(answer, 2 * batch)
            assert not answer.requires_grad
    assert len(network.asked) == 3
    assert len(teacher._kept) == 3
    network.asked.clear()
    del batch
    batches.clear()
    assert not teacher._kept


def test_a_teacher_keeps_no_answer_that_is_larger_than_its_batch_nor_one_to_several_tensors():
    network = Counting(times=2)
    teacher, batch = Teacher(network), torch.rand(2, 3, 4, 4)
    for _ in range(2):
        teacher.answers(batch)
    assert len(network.asked) == 2
    network.times = 1
    pair = Teacher(network)
    for _ in range(2):
        pair.answers((batch,))
    assert len(network.asked) == 4


def test_fine_tunes_on_the_same_batches_ask_the_teacher_once():
    torch.manual_seed(0)
    task = CachedBatches(Regression(), "cpu")
    settings = TrainSettings(steps=3, batch_size=4, lr=1e-3, seed=1)
    students = [Mirror() for _ in range(3)]
    students[1].load_state_dict(students[0].state_dict())
    network = Counting()
    shared = Teacher(network)
    fit(students[0], DistilledTask(task, shared), settings)
    fit(students[2], DistilledTask(task, shared), settings)
    assert len(network.asked) == 3
    fit(students[1], DistilledTask(Regression(), Teacher(Counting())), settings)
    for one, other in zip(students[0].parameters(), students[1].parameters(), strict=True):
        assert torch.equal(one, other)


class Mirror(torch.nn.Module):
    """Answers in the shape it reads."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.layer(x)


def test_gradients_that_are_no_numbers_are_told(case):
    strategy = case.strategy("netadapt-fast")
    prunable = strategy.networks.prunable("checkpoints/0.safetensors")
    with torch.no_grad():
        prunable.model.conv0[0].weight.fill_(float("nan"))
    with pytest.raises(UserError, match="no finite score"):
        strategy.scores(case.state)


@pytest.fixture(scope="module")
def arguments(elsewhere, tmp_path_factory):
    """A search for a network whose 16 groups can all be narrowed."""
    folder = tmp_path_factory.mktemp("wide")
    model = netadapt.load_model("fastdepth", widths=dict.fromkeys(GROUPS, 16))
    model.set_depth_statistics(3.0, 1.5)
    save_checkpoint(model, folder / "base.safetensors", input_size=SIZE)
    lut = made_up_table(folder, model, torch.rand(1, 3, *SIZE), attached=False)
    predictor = netadapt.LatencyPredictor(
        netadapt.trace(model.eval(), torch.rand(1, 3, *SIZE)), netadapt.LatencyTable.load(lut)
    )
    changes = {"model": str(folder / "base.safetensors"), "lut": str(lut)}
    given = elsewhere | QUICK | changes | {"budget_ms": 0.99 * predictor({})}
    return {name: value for name, value in given.items() if name != "strategy"}


@pytest.fixture(scope="module")
def runs(arguments, tmp_path_factory):
    """The paper's search and ours, asked for the same."""
    folder = tmp_path_factory.mktemp("fast")
    return {
        name: netadapt.search(**taken(name, **arguments), strategy=name, out=folder / name)
        for name in ("netadapt", "netadapt-fast")
    }


def test_it_keeps_the_budget_at_a_fifth_of_the_samples(runs, arguments):
    fast, paper = runs["netadapt-fast"], runs["netadapt"]
    read, allowed = fast.summary["training_samples"], paper.summary["training_samples"]
    assert read["proposing"] == arguments["batch_size"] * fast.summary["iterations"]
    assert read["short"] + read["proposing"] <= allowed["short"] / 5
    rows = fast.candidates.set_index("candidate")
    assert rows.loc[fast.final.stem, "predicted_ms"] <= arguments["budget_ms"]
    events = Journal(fast.folder / "journal.jsonl").events
    for event in (event for event in events if isinstance(event, IterationBegan)):
        assert event.target_ms is not None
        assert all(proposal.predicted_ms <= event.target_ms for proposal in event.proposals)


def test_all_budgets_hold_together(case):
    limits = {
        kind: 0.9 * case.problem.space.cost(kind, {}) for kind in ("ms", "macs", "params", "mb")
    }
    for widths in case.strategy("netadapt-fast").propose(case.state, limits).values():
        assert case.problem.space.meets(widths, limits)


@pytest.mark.slow
def test_killed_it_resumes_to_the_same(runs, arguments, tmp_path):
    out = tmp_path / "run"
    asked = arguments | {"strategy": "netadapt-fast"}
    # before the score of a candidate whose fine-tune and saliencies are done with
    assert dies(partial(search_on, asked), out, 3, "torn", of="journal.jsonl")
    resumed, undisturbed = netadapt.search(out=out, resume=True), runs["netadapt-fast"]
    pd.testing.assert_frame_equal(resumed.candidates, undisturbed.candidates)
    pd.testing.assert_frame_equal(resumed.front, undisturbed.front)
    assert resumed.final.read_bytes() == undisturbed.final.read_bytes()
    assert resumed.summary == undisturbed.summary
