"""What ``profile-lut`` refuses of bundles, their results, and devices over ssh."""

import pytest

PROFILE = "profile-lut --model @small.safetensors"
REFUSED = {
    "profile-lut --import nowhere.json": "results nowhere.json does not exist",
    "profile-lut --import @empty": "is not a file",
    "profile-lut --import @file": "no results file",
    "profile-lut --import @tiny.safetensors": "no results file",
    "profile-lut --import @file --model x": "--import takes no --model",
    "profile-lut --import @file --threads 2": "--import takes no --threads",
    "profile-lut --import @file --bundle x.zip": "--import takes no --bundle",
    "profile-lut --bundle x.zip": "give --model",
    f"{PROFILE} --bundle x.zip --lut lut": "--bundle takes no --lut",
    f"{PROFILE} --bundle x.zip --device cpu": "--bundle takes no --device",
    f"{PROFILE} --bundle x.zip --runtime torch": "runtime torch is not for another machine",
    f"{PROFILE} --bundle x.zip --precision fp16": "fp16 is not for onnxruntime on a CPU",
    f"{PROFILE} --bundle @empty": "is a folder",
    f"{PROFILE} --devices devices.toml": "devices.toml does not exist",
    f"{PROFILE} --devices @file": "is not TOML",
    f"{PROFILE} --devices @file --threads 2": "--devices takes no --threads",
    f"{PROFILE} --device ssh://board": "is not ssh://user@host[:port]",
    f"{PROFILE} --device ssh://me@@-oProxyCommand=x": "is not ssh://user@host[:port]",
    f"{PROFILE} --device ssh://me@@127.0.0.1:1 --runtime torch": "is not for another machine",
    f"{PROFILE} --device ssh://me@@127.0.0.1:1": "cannot reach me@127.0.0.1 port 1",
    "benchmark @small.safetensors --device ssh://me@@127.0.0.1:1": "cannot reach me@127.0.0.1",
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_cannot_work_is_refused_in_one_line(netadapt, command):
    assert REFUSED[command] in netadapt.refused_at_once(command)


def test_a_bundle_is_written_and_named_on_stdout(netadapt, here):
    result = netadapt(f"{PROFILE} --bundle small.zip")
    assert result.code == 0
    assert result.out == "small.zip\n"
    assert [path.name for path in here.iterdir()] == ["small.zip"]
    again = netadapt(f"{PROFILE} --bundle again.zip --json")
    assert again.json == {"bundle": "again.zip"}
