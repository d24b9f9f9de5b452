"""A network that cannot be had, or that does not do: every command says so in one line."""

import pytest

COMMANDS = {
    "evaluate": "evaluate {} --data pairs:@pairs",
    "predict": "predict {} @photo.jpg --out new",
    "export": "export {} --out new.onnx",
    "benchmark": "benchmark {} --runs 5",
    "profile-lut": "profile-lut --model {} --lut new",
    "info": "info {}",
    "train": "train --model {} --data pairs:@pairs --steps 1 --out new",
    "search": "search --model {} --data pairs:@pairs --lut @lut/made-up --budget-ms 9 --out new",
}
CHECKPOINTS = {
    "missing.safetensors": "missing.safetensors does not exist",
    "missing.pth.tar": "missing.pth.tar does not exist",
    "@folder.safetensors": "is not a file",
    "@training": "such as @training/best.safetensors",
    "@torn.safetensors": "torn.safetensors is not a safetensors file, or is damaged",
    "@beheaded.safetensors": "beheaded.safetensors is not a safetensors file, or is damaged",
    "@noise.safetensors": "noise.safetensors is not a safetensors file, or is damaged",
    "@empty.safetensors": "empty.safetensors is not a safetensors file, or is damaged",
    "@renamed.safetensors": "it lacks decode_conv6.0.weight",
    "@photo.png": "photo.png is not a safetensors file, or is damaged",
    "@pickled.pth.tar": "convert it",
    "@foreign.pth": "it has no 'conv0.0.weight'",
    "@text.pth": "text.pth is not a torch checkpoint, or is damaged",
    "fastdeth": "not one of fastdepth, fastdepth-pruned, ",
    "x" * 300: "File name too long",
}
FACTORIES = {
    "no_such_module:net": "no module 'no_such_module'",
    "cli_networks:net": "has no 'net'",
    "cli_networks:thing": "'thing' of 'cli_networks' cannot be called",
    "cli_networks:raises": "cannot be built: ValueError: the factory",
    "cli_networks:leaves": "cannot be built: SystemExit: 3",
    "cli_networks:number": "returned int; a factory returns a torch.nn.Module",
    "cli_networks:wants": "missing a required argument: 'argument'",
    "cli_networks:Failing": "does not run on an input of shape (1, 3, 32, 32): KeyError",
    "cli_networks:Weightless": "has no weights",
}


@pytest.mark.parametrize("reference", CHECKPOINTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_checkpoint_that_cannot_be_loaded_is_named(netadapt, command, reference):
    line = netadapt.refused_at_once(COMMANDS[command].format(reference))
    assert netadapt.at_stock(CHECKPOINTS[reference]) in line


@pytest.mark.parametrize("reference", FACTORIES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_factory_that_gives_no_working_network_is_named(netadapt, command, reference):
    line = netadapt.refused_at_once(COMMANDS[command].format(reference), "--input-size 32x32")
    assert FACTORIES[reference] in line


@pytest.mark.parametrize("command", COMMANDS)
def test_an_input_size_that_the_network_does_not_take_is_named(netadapt, command):
    line = netadapt.refused_at_once(
        COMMANDS[command].format("@tiny.safetensors"), "--input-size 32x48"
    )
    assert "multiples of 32, not 32x48" in line


@pytest.mark.parametrize("size", ["32", "32x", "axb", "0x32", "-32x32", "32x32x3", "9999x9999"])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_input_size_is_named(netadapt, command, size):
    line = netadapt.refused_at_once(
        COMMANDS[command].format("@tiny.safetensors"), f"--input-size={size}"
    )
    assert "--input-size" in line
    assert size in line


@pytest.mark.parametrize(
    "command", ["evaluate", "predict", "export", "benchmark", "profile-lut", "info", "search"]
)
def test_a_network_without_an_input_size_asks_for_one(netadapt, command):
    line = netadapt.refused_at_once(COMMANDS[command].format("cli_networks:Small"))
    assert "--input-size HxW" in line


@pytest.mark.parametrize("command", ["evaluate", "predict", "train", "search"])
def test_a_network_that_answers_with_no_depth_map_is_refused(netadapt, command):
    line = netadapt.refused_at_once(
        COMMANDS[command].format("cli_networks:two_maps"), "--input-size 32x32"
    )
    assert "Small" in line
    assert "depth" in line


@pytest.mark.parametrize("command", ["benchmark", "profile-lut"])
def test_a_network_that_the_runtime_cannot_time_names_a_runtime_that_can(netadapt, command):
    line = netadapt.refused_at_once(
        COMMANDS[command].format("cli_networks:Bilinear"), "--input-size 32x32"
    )
    assert "cannot time" in line
    assert "no traced operation stands for it" in line
    assert "use --runtime torch" in line


def test_a_pickled_network_is_refused_with_the_command_that_converts_it(netadapt):
    line = netadapt.refused_at_once("evaluate @pickled.pth.tar --data pairs:@pairs")
    assert 'python -c "import torch' in line
    assert "torch.save(m.state_dict(), 'pickled.state.pth')" in line
