"""``netadapt export``, and what is done with the file."""

import json
from pathlib import Path

import pytest
import torch
from stock import SIZE

import netadapt as package

INT8 = "export @tiny.safetensors --out tiny.onnx --precision int8 --calibration-data pairs:@pairs"


@pytest.fixture(scope="module")
def exported(stock, tmp_path_factory) -> Path:
    """A FastDepth, exported once; no test changes it."""
    model = package.load_model(stock / "tiny.safetensors")
    file = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    return package.export(model, torch.rand(1, 3, *SIZE), file).path


def test_an_int8_file_is_checked_scored_and_used(netadapt, here):
    result = netadapt(INT8, "--calibration-frames 4 --json")
    assert result.code == 0
    told = result.json
    assert told["precision"] == "int8"
    assert told["size_bytes"] == (here / "tiny.onnx").stat().st_size < told["fp32_bytes"]
    assert told["moved_layers"] == 1
    evaluated = netadapt("evaluate tiny.onnx --data pairs:@pairs --json").json
    for name, value in told["scores"]["file"].items():
        assert evaluated[name] == pytest.approx(value)
    plain = netadapt("evaluate @tiny.safetensors --data pairs:@pairs --json").json
    for name, value in told["scores"]["network"].items():
        assert plain[name] == pytest.approx(value)
    assert netadapt("predict tiny.onnx @photo.jpg --out maps").code == 0
    assert len(list((here / "maps").iterdir())) == 1


def test_export_tells_what_it_wrote(netadapt):
    export = "export cli_networks:Raised --input-size 32x32"
    result = netadapt(f"{export} --out raised.onnx")
    assert (result.code, result.out) == (0, "raised.onnx\n")
    assert "1x1 layers moved before an upsampling: 1" in result.err
    result = netadapt(f"{export} --out plain.onnx --no-rewrite")
    assert "1x1 layers moved before an upsampling: 0" in result.err


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_exported_file_is_timed_as_it_is(netadapt, exported, runtime):
    pytest.importorskip(runtime)
    result = netadapt("benchmark", exported, f"--runs 5 --json --runtime {runtime}")
    assert json.loads(result.out)["p50_ms"] > 0


def test_an_exported_file_is_refused_where_it_cannot_be_timed(netadapt, exported):
    line = netadapt.refused("benchmark", exported, "--runs 5 --runtime torch")
    assert line == (
        f"--runtime torch cannot run {exported}; run ONNX files with onnxruntime or openvino"
    )
    assert "takes batches of 1, not 2" in netadapt.refused("benchmark", exported, "--batch 2")


def test_an_exported_file_can_be_a_network_again(netadapt, here):
    """What runs a file runs it as it is; what makes networks converts it."""
    netadapt("export @small.safetensors --out small.onnx")
    assert "Conv" in netadapt("info small.onnx").out
    assert netadapt("export small.onnx --out again.onnx").code == 0
    assert (here / "again.onnx").exists()
