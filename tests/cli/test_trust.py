"""No file runs code: it builds names of the registries, and what its reader has named or trusts."""

import json
import os
import shutil
import sys

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

import netadapt as package
from netadapt.factories import TRUST
from netadapt.search.run_folder import NOT_SETTINGS

CODE = """
import os
from pathlib import Path

if "CANARY" in os.environ:
    Path(os.environ["CANARY"]).write_text("ran")

from cli_networks import Small
from netadapt.training.digits import open_digits


def net(**options):
    return Small(**{name: value for name, value in options.items() if name == "channels_out"})


def task(data, input_size):
    return open_digits(data, input_size)
"""
QUICK = "--data pairs:@pairs --input-size 32x32 --steps 1 --batch-size 2 --out new"
READ_CHECKPOINT = {
    "info": "info bad.safetensors",
    "evaluate": "evaluate bad.safetensors --data pairs:@pairs",
    "export": "export bad.safetensors --out new.onnx",
    "predict": "predict bad.safetensors @photo.jpg --out new",
    "benchmark": "benchmark bad.safetensors --runs 5",
    "train": f"train --model bad.safetensors {QUICK}",
    "profile-lut": "profile-lut --model bad.safetensors --lut new",
    "search": "search --checkpoint bad.safetensors --data pairs:@pairs --lut @lut/board "
    "--budget-ms 150 --out new",
}


@pytest.fixture
def canary(here, monkeypatch):
    """The module ``canary_code`` can be imported here; the path it writes to when that is done."""
    (here / "canary_code.py").write_text(CODE)
    mark = here.parent / "ran"
    monkeypatch.setenv("CANARY", str(mark))
    monkeypatch.setenv(TRUST, "cli_networks")
    monkeypatch.delitem(sys.modules, "canary_code", raising=False)
    yield mark
    sys.modules.pop("canary_code", None)


def checkpoint(path, model, **options):
    """A checkpoint whose metadata says ``model``, with the tensors of ``cli_networks.Small``."""
    from cli_networks import Small

    facts = {"format": 1, "model": model, "options": options, "widths": None,
             "input_size": [32, 32], "info": {}}  # fmt: skip
    save_file(Small().state_dict(), path, {"netadapt": json.dumps(facts)})


def changed_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("command", READ_CHECKPOINT)
def test_a_checkpoint_builds_no_code_that_was_not_named(netadapt, here, canary, command):
    checkpoint(here / "bad.safetensors", "canary_code:net")
    line = netadapt.refused(READ_CHECKPOINT[command])
    assert "bad.safetensors asks for the model canary_code:net" in line
    assert "add --trust canary_code " in line
    assert not canary.exists()


@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:run", "shutil:rmtree", "os.path:join", "a b:c", "x:y:z", ":"]
)
def test_a_checkpoint_that_names_what_no_model_can_be_is_damaged(netadapt, here, name):
    checkpoint(here / "bad.safetensors", name, command="touch ran")
    assert "bad.safetensors is damaged" in netadapt.refused_at_once("info bad.safetensors")


@pytest.mark.parametrize(
    "words",
    [
        "--trust canary_code info good.safetensors",
        "info good.safetensors --trust canary_code",
        "info --trust=canary_code good.safetensors",
        "info good.safetensors --trust canary_code:net",
        "info good.safetensors --trust other --trust canary_code",
    ],
)
def test_the_words_of_the_error_let_it_be_built(netadapt, here, canary, words):
    checkpoint(here / "good.safetensors", "canary_code:net")
    result = netadapt(words)
    assert result.code == 0, result.err
    assert canary.exists()


@pytest.mark.parametrize("trusted", ["canary_code", " canary_code , other", "canary_code:net"])
def test_so_does_the_environment(netadapt, here, canary, monkeypatch, trusted):
    monkeypatch.setenv(TRUST, trusted)
    checkpoint(here / "good.safetensors", "canary_code:net")
    assert netadapt("info good.safetensors").code == 0


@pytest.mark.parametrize("trusted", ["canary", "canary_code.sub", "canary_code:other", "other"])
def test_trust_is_of_one_module_or_factory_and_no_other(netadapt, here, canary, trusted):
    checkpoint(here / "bad.safetensors", "canary_code:net")
    assert "add --trust canary_code" in netadapt.refused("info bad.safetensors --trust", trusted)
    assert not canary.exists()


@pytest.mark.parametrize("word", ["a-b", "a.b.", "a:b:c", "/a/x", "a b"])
def test_what_cannot_be_trusted_is_named(netadapt, word):
    line = netadapt.refused_at_once("info @tiny.safetensors", f"--trust={word.replace(' ', '!')}")
    assert "give package.module or package.module:factory" in line
    assert "--trust is empty" in netadapt.refused_at_once("info @tiny.safetensors --trust=")
    assert "--trust needs a value" in netadapt.refused_at_once("info @tiny.safetensors --trust")


class TestFromPython:
    def test_a_factory_named_in_the_call_is_built(self, here, canary):
        checkpoint(here / "good.safetensors", "canary_code:net")
        with pytest.raises(package.UserError, match=r"netadapt\.trust\('canary_code'\)"):
            package.load_model("good.safetensors")
        assert not canary.exists()
        package.load_model("good.safetensors", factory="canary_code:net")
        assert canary.exists()

    def test_another_than_was_named_is_not(self, here, canary):
        checkpoint(here / "bad.safetensors", "canary_code:net")
        with pytest.raises(package.UserError, match="asks for the model canary_code:net"):
            package.load_model("bad.safetensors", factory="canary_code:other")
        assert not canary.exists()

    def test_a_network_that_this_process_has_built_can_be_saved_and_loaded(self, here, canary):
        network = package.load_model("canary_code:net")
        package.save_checkpoint(network, "own.safetensors", input_size=(32, 32))
        package.load_checkpoint("own.safetensors")

    def test_a_module_can_be_trusted(self, here, canary):
        checkpoint(here / "good.safetensors", "canary_code:net")
        package.trust("canary_code")
        package.load_checkpoint("good.safetensors")


class TestOptionsOfAFile:
    @pytest.mark.parametrize("name", ["imagenet", "pretrained"])
    def test_nothing_is_downloaded(self, netadapt, here, monkeypatch, name):
        def download(*arguments, **options):
            raise AssertionError("the network was asked")

        monkeypatch.setattr("netadapt.depth.models.fastdepth.load_imagenet_encoder", download)
        monkeypatch.setattr("socket.socket.connect", download)
        _with_options("@tiny.safetensors", netadapt, here / "asks.safetensors", {name: True})
        assert netadapt("info asks.safetensors").code == 0

    def test_an_encoder_of_a_hub_is_refused(self, netadapt, here, monkeypatch):
        monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("connected"))
        checkpoint(here / "bad.safetensors", "fastdepth-timm", encoder="hf-hub:some/one")
        assert "hf-hub:some/one" in netadapt.refused("info bad.safetensors")

    def test_an_option_that_the_factory_does_not_take_is_named(self, netadapt, here):
        checkpoint(here / "bad.safetensors", "fastdepth", nonsense=3)
        assert "nonsense" in netadapt.refused("info bad.safetensors")


def _with_options(name, netadapt, path, options):
    with safe_open(netadapt.at_stock(name), "pt") as file:
        facts = json.loads(file.metadata()["netadapt"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    facts |= {"options": facts["options"] | options, "checksum": None}
    save_file(tensors, path, {"netadapt": json.dumps(facts)})


class TestATable:
    @pytest.fixture
    def table(self, netadapt, here):
        shutil.copytree(netadapt.stock / "lut/made-up", here / "table")
        path = here / "table/target.json"
        network = {"model": "canary_code:net", "input": "1x3x32x32"}
        known = json.loads(path.read_text())["calibrations"]
        changed_json(path, calibrations=[calibration | network for calibration in known])
        return path

    def test_does_not_build_the_network_it_remembers(self, netadapt, table, canary):
        line = netadapt.refused("lut validate table")
        assert "table/target.json asks for the model canary_code:net" in line
        assert not canary.exists()

    def test_is_read_by_a_search_without_that_network(self, netadapt, table, canary):
        assert netadapt("lut show table").code == 0
        assert not canary.exists()


class TestARun:
    @pytest.mark.parametrize("values", [{"model": "canary_code:net"}, {"task": "canary_code:task"}])
    def test_does_not_build_what_run_json_names(self, netadapt, here, canary, values):
        shutil.copytree(netadapt.stock / "run", here / "mine")
        changed_json(here / "mine/run.json", **values)
        shutil.rmtree(here / "mine/checkpoints")
        line = netadapt.refused("search --resume --out mine")
        ((kind, name),) = values.items()
        assert f"mine/run.json asks for the {kind} {name}" in line
        assert "--trust canary_code" in line
        assert netadapt("info mine").code == 0
        assert netadapt("plot mine").code == 0
        assert not canary.exists()

    def test_does_not_join_a_cluster_that_was_not_named(self, netadapt, here):
        shutil.copytree(netadapt.stock / "run", here / "mine")
        changed_json(here / "mine/run.json", executor="ray", address="203.0.113.1:6379")
        line = netadapt.refused("search --resume --out mine")
        assert line.endswith("add --address 203.0.113.1:6379")

    def test_for_targets_does_not_build_what_targets_json_names(self, netadapt, here, canary):
        settings = json.loads((netadapt.stock / "run/run.json").read_text())
        wanted = {key: value for key, value in settings.items() if key not in NOT_SETTINGS}
        (here / "both").mkdir()
        (here / "both/targets.json").write_text(
            json.dumps({"one": wanted | {"model": "canary_code:net"}})
        )
        line = netadapt.refused("search --resume --out both")
        assert "both/targets.json asks for the model canary_code:net" in line
        assert not canary.exists()

    def test_goes_on_once_its_code_is_named_or_trusted(self, netadapt, here, canary):
        checkpoint(here / "own.safetensors", "canary_code:net")
        begun = netadapt(
            "search --checkpoint own.safetensors --data pairs:@pairs --lut @lut/board "
            "--budget-ms 150 --short-steps 1 --long-steps 1 --out mine --trust canary_code"
        )
        assert begun.code == 0, begun.err
        os.environ[TRUST] = ""
        sys.modules.pop("canary_code")
        canary.unlink()
        assert "--trust canary_code" in netadapt.refused("search --resume --out mine")
        assert not canary.exists()
        assert netadapt("search --resume --out mine --trust canary_code").code == 0


class TestATraining:
    @pytest.mark.parametrize("values", [{"model": "canary_code:net"}, {"task": "canary_code:task"}])
    def test_does_not_build_what_config_json_names(self, netadapt, here, canary, values):
        shutil.copytree(netadapt.stock / "training", here / "mine")
        changed_json(here / "mine/config.json", **values)
        line = netadapt.refused("train --resume --out mine")
        ((kind, name),) = values.items()
        assert f"mine/config.json asks for the {kind} {name}" in line
        assert not canary.exists()

    def test_goes_on_where_its_code_is_named_again(self, netadapt, here, canary):
        begun = netadapt(f"train --model canary_code:net {QUICK}")
        assert begun.code == 0, begun.err
        for word in ("--model canary_code:net", "--trust canary_code:net"):
            os.environ[TRUST] = ""
            sys.modules.pop("canary_code", None)
            assert "--trust canary_code" in netadapt.refused("train --resume --out new")
            again = netadapt("train --resume --out new", word)
            assert again.code == 0, again.err


def test_a_list_of_devices_names_no_code(netadapt, here, canary):
    (here / "devices.toml").write_text('[one]\ndevice = "cpu"\nruntime = "canary_code:net"\n')
    netadapt.refused("profile-lut --devices devices.toml --model @small.safetensors --lut new")
    assert not canary.exists()


def test_modules_of_netadapt_are_not_looked_for_in_the_current_folder(netadapt, here):
    (here / "timm.py").write_text("raise SystemExit('shadowed')")
    path = list(sys.path)
    assert netadapt("info @tiny.safetensors").code == 0
    assert [place for place in sys.path if place not in path] == []
