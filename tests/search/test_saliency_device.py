"""Channels are scored where candidates are trained."""

import pytest
import torch
from fake_clock import network
from test_fast import Regression

import netadapt
from netadapt.search import networks
from netadapt.search.base_network import BaseNetwork
from netadapt.search.networks import Networks
from netadapt.search.saliency import channel_scores
from netadapt.search.settings import SearchSettings

META = torch.device("meta")  # has shapes and no values: what is elsewhere cannot be mixed with it


class Seen(Exception):  # noqa: N818  (no error: it ends the test where it has seen enough)
    """The network answered on the device."""


class Watching(Regression):
    """Runs the network and looks where everything is."""

    def loss(self, model, inputs, targets):
        answer = model(inputs)
        places = {answer.device, inputs.device, targets.device}
        assert places == {META}
        assert {tensor.device for tensor in model.state_dict().values()} == {META}
        raise Seen


@pytest.mark.parametrize("criterion", ["fisher", "taylor", "first-order"])
def test_saliencies_are_computed_on_the_device_that_is_asked_for(criterion):
    prunable = netadapt.trace(network().eval(), torch.rand(1, 3, 8, 8))
    with pytest.raises(Seen):
        channel_scores(
            prunable, criterion, Watching(), device=META, batches=1, batch_size=2, seed=0
        )
    assert {tensor.device.type for tensor in prunable.model.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_the_networks_of_a_run_ask_for_the_training_device(monkeypatch, tmp_path, device):
    asked = []

    def recorded(prunable, criterion, task, *, device, **_):
        asked.append(device)
        return {}

    monkeypatch.setattr(networks, "channel_scores", recorded)
    monkeypatch.setattr(Networks, "prunable", lambda *_: None)
    settings = SearchSettings.parse({"model": "fastdepth", "lut": "lut", "speedup": 2})
    base = BaseNetwork(settings, "fastdepth", 1)
    base.task = Regression()
    Networks(base, tmp_path, device).scores("checkpoints/0.safetensors", "fisher", 1)
    assert asked == [torch.device(device)]
