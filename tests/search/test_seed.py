"""Fresh weights are a function of the seed, wherever a network is named and not loaded."""

import torch
from search_case import SIZE

from netadapt.cli.models import load_with_input
from netadapt.search.base_network import BaseNetwork
from netadapt.search.settings import SearchSettings
from netadapt.training.checkpoint import load_seeded

THIN = {"widths": {f"conv{block}.3": 8 for block in range(1, 14)}}


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def base(seed: int) -> torch.Tensor:
    settings = SearchSettings.parse(
        {
            "model": "fastdepth",
            "data": "synthetic:9",
            "lut": "lut/x",
            "budget_ms": 1.0,
            "seed": seed,
        }
    )
    return weights(BaseNetwork(settings, "fastdepth", 1).model)


def test_a_search_from_a_name_starts_from_weights_of_its_seed() -> None:
    torch.manual_seed(1)
    first = base(7)
    torch.manual_seed(2)
    assert torch.equal(first, base(7))
    assert not torch.equal(first, base(8))


def test_a_named_network_is_the_same_for_every_command() -> None:
    one, two = (load_with_input("fastdepth", SIZE)[0] for _ in range(2))
    assert torch.equal(weights(one), weights(two))


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    load_seeded("fastdepth", 3, **THIN)
    assert torch.equal(torch.rand(3), wanted)
