import pytest
import torch
from fake_depth import fake_task, tiny
from torch import nn

from netadapt.errors import UserError
from netadapt.training import TrainingDiverged, TrainSettings, TrainState, fit
from netadapt.training.average import averaged


def settings(**changes):
    return TrainSettings(**({"steps": 6, "batch_size": 4, "lr": 0.01} | changes))


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


class WithDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.conv(self.drop(x))


@pytest.mark.parametrize(
    "how",
    [
        {"optimizer": "sgd"},
        {"optimizer": "adamw"},
        {"optimizer": "amsgrad"},
        {"optimizer": "adamw", "ema": 0.9},
    ],
    ids=str,
)
def test_a_stopped_training_goes_on_to_the_same_bits(how):
    how = settings(schedule="onecycle", **how)
    whole, parts = tiny(), tiny()
    state = fit(whole, fake_task(), how)
    part = fit(parts, fake_task(), how, until=2)
    assert part.step == 2
    torch.rand(7)  # whatever else draws random numbers in between
    part = TrainState(part.step, {name: moment.clone() for name, moment in part.moments.items()})
    end = fit(parts, fake_task(), how, start=part)
    assert end.step == state.step == 6
    assert same(weights(whole), weights(parts))
    assert same(dict(state.moments), dict(end.moments))


def test_dropout_follows_the_seed_and_leaves_the_caller_random_state_alone():
    torch.manual_seed(5)
    model = WithDropout()
    initial = weights(model)
    results = []
    for seed in (1, 1, 2):
        model.load_state_dict(initial)
        before = torch.get_rng_state()
        fit(model, fake_task(), settings(seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
        results.append(weights(model))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_training_lowers_the_loss():
    task, model, losses = fake_task(), tiny(), []
    task.prepare(model)
    fit(
        model,
        task,
        settings(steps=30, optimizer="adamw", lr=5e-3, schedule="onecycle"),
        on_step=lambda step, loss, lr: losses.append(loss),
    )
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_sgd_steps_are_those_of_torch_written_out():
    task, ours, theirs = fake_task(), tiny(), tiny()
    how = settings(steps=3, schedule="step", decay_every=2, momentum=0.8, weight_decay=1e-3)
    told = []
    fit(ours, task, how, on_step=lambda *event: told.append(event))
    theirs.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.8, weight_decay=1e-3)
    theirs.train()
    for draw in range(3):
        optimizer.param_groups[0]["lr"] = 0.01 if draw < 2 else 0.001
        inputs, targets = task.train_batch(draw, 4, seed=0)
        optimizer.zero_grad()
        loss = task.loss(theirs, inputs.to(memory_format=torch.channels_last), targets)
        loss.backward()
        optimizer.step()
        rate = optimizer.param_groups[0]["lr"]
        assert told[draw] == (draw + 1, float(loss.detach()), pytest.approx(rate))
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


class WithEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 3, padding=1)
        self.decoder = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x):
        return self.decoder(self.encoder(x))


@pytest.mark.parametrize(("optimizer", "amsgrad"), [("adamw", False), ("amsgrad", True)])
def test_encoder_and_decoder_decay_each_by_their_own(optimizer, amsgrad):
    task, ours, theirs = fake_task(), WithEncoder(), WithEncoder()
    theirs.load_state_dict(ours.state_dict())
    how = settings(optimizer=optimizer, weight_decay=0.5, decoder_weight_decay=0.0)
    state = fit(ours, task, how)
    theirs.to(memory_format=torch.channels_last)
    written_out = torch.optim.AdamW(
        [
            {"params": theirs.encoder.parameters(), "weight_decay": 0.5},
            {"params": theirs.decoder.parameters(), "weight_decay": 0.0},
        ],
        lr=0.01,
        amsgrad=amsgrad,
    )
    for draw in range(6):
        for group in written_out.param_groups:
            group["lr"] = 0.01 * 0.1 ** (draw // 2)
        inputs, targets = task.train_batch(draw, 4, seed=0)
        written_out.zero_grad()
        task.loss(theirs, inputs.to(memory_format=torch.channels_last), targets).backward()
        written_out.step()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    assert any("max_exp_avg_sq" in name for name in state.moments) == amsgrad


def test_adamw_without_decay_is_adam():
    task, ours, theirs = fake_task(), WithEncoder(), WithEncoder()
    theirs.load_state_dict(ours.state_dict())
    how = settings(steps=2, optimizer="adamw", weight_decay=0.0, schedule="constant")
    fit(ours, task, how)
    theirs.to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for draw in range(2):
        inputs, targets = task.train_batch(draw, 4, seed=0)
        adam.zero_grad()
        task.loss(theirs, inputs.to(memory_format=torch.channels_last), targets).backward()
        adam.step()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_every_module_gets_its_mode_back():
    model = tiny().eval()
    model.conv5.train()
    modes = [module.training for module in model.modules()]
    fit(model, fake_task(), settings(steps=1))
    assert [module.training for module in model.modules()] == modes


def test_divergence_is_named_with_its_step_and_rate():
    model = tiny()
    task = fake_task()
    task.prepare(model)
    with pytest.raises(TrainingDiverged, match=r"loss is \S+ at step \d+, with learning rate"):
        fit(model, task, settings(steps=40, lr=1e30, schedule="constant"))


def test_an_error_in_the_data_comes_through(monkeypatch):
    task = fake_task()

    def broken(index, rng):
        raise UserError("frame 3 is broken")

    monkeypatch.setattr(task.data.train, "training_example", broken)
    with pytest.raises(UserError, match="frame 3 is broken"):
        fit(tiny(), task, settings())


def test_layers_learn_at_their_share_of_the_rate():
    task, ours, theirs = fake_task(), WithEncoder(), WithEncoder()
    theirs.load_state_dict(ours.state_dict())
    shares = {"encoder.*": 0.1, "*.bias": 0.0, "decoder.bias": 2.0}
    fit(ours, task, settings(optimizer="sgd", lr_of=shares, weight_decay=0.0, steps=1))
    theirs.to(memory_format=torch.channels_last)
    inputs, targets = task.train_batch(0, 4, seed=0)
    task.loss(theirs, inputs.to(memory_format=torch.channels_last), targets).backward()
    wanted = {"encoder.weight": 0.1, "encoder.bias": 0.0, "decoder.weight": 1.0, "decoder.bias": 2}
    for name, before in theirs.named_parameters():
        assert before.grad is not None
        after = before - 0.01 * wanted[name] * before.grad
        torch.testing.assert_close(ours.get_parameter(name), after)


def test_a_share_for_no_layer_is_refused():
    with pytest.raises(UserError, match=r"--lr-of enc\* is the name of no parameter"):
        fit(tiny(), fake_task(), settings(lr_of={"enc*": 0.1}))


def test_moments_of_another_network_are_refused():
    state = fit(tiny(), fake_task(), settings(steps=1))
    with pytest.raises(UserError, match="does not belong to this network"):
        fit(WithDropout(), fake_task(), settings(), start=state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "lion"}, "--optimizer lion: give one of sgd, adamw, amsgrad"),
        ({"schedule": "linear"}, "--schedule linear: give one of constant"),
        ({"steps": 0}, "--steps 0: give a whole number from 1 to"),
        ({"batch_size": 1}, "--batch-size 1: give a whole number from 2"),
        ({"lr": float("nan")}, "--lr nan: give a number above 0"),
        ({"momentum": 1.0}, "--momentum 1.0: give a number of at least 0 and below 1"),
        ({"decoder_weight_decay": -0.5}, "--decoder-weight-decay -0.5: give"),
        ({"weight_decay": float("inf")}, "--weight-decay inf: give"),
        ({"seed": -1}, "--seed -1: give"),
        ({"lr_of": {"conv*": -1.0}}, r"--lr-of: conv\* is -1.0; give 0.0 or more"),
        ({"seed": 2**40}, "--seed 1099511627776: give"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        settings(**changes)


def test_the_average_follows_the_weights_and_is_the_result():
    plain, ours = tiny(), tiny()
    averages, state = weights(plain), None
    for step in range(1, 7):
        state = fit(plain, fake_task(), settings(), start=state, until=step)
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in weights(plain).items():
            if value.is_floating_point():
                averages[name].lerp_(value, 1 - decay)
    state = fit(ours, fake_task(), settings(ema=0.5), until=5)
    assert not same(weights(averaged(ours, state.moments)), weights(ours))
    end = fit(ours, fake_task(), settings(ema=0.5), start=state)
    assert averaged(ours, end.moments) is ours
    for name, value in ours.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, averages[name], msg=name)
