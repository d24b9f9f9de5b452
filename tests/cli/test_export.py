"""``netadapt export``, and what is done with the file."""

import json

import pytest

INT8 = "export @tiny.safetensors --out tiny.onnx --precision int8 --calibration-data pairs:@pairs"


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
    result = netadapt("export @tiny.safetensors --out tiny.onnx")
    assert (result.code, result.out) == (0, "tiny.onnx\n")
    assert "1x1 layers moved before an upsampling: 1" in result.err
    result = netadapt("export @tiny.safetensors --out plain.onnx --no-rewrite")
    assert "1x1 layers moved before an upsampling: 0" in result.err


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_exported_file_is_timed_as_it_is(netadapt, runtime):
    pytest.importorskip(runtime)
    netadapt("export @tiny.safetensors --out tiny.onnx")
    result = netadapt(f"benchmark tiny.onnx --runs 5 --json --runtime {runtime}")
    assert json.loads(result.out)["p50_ms"] > 0
    line = netadapt.refused("benchmark tiny.onnx --runs 5 --runtime torch")
    assert line == (
        "--runtime torch cannot run tiny.onnx; run ONNX files with onnxruntime or openvino"
    )
    assert "takes batches of 1, not 2" in netadapt.refused("benchmark tiny.onnx --batch 2")


def test_an_exported_file_can_be_a_network_again(netadapt, here):
    """What runs a file runs it as it is; what makes networks converts it."""
    netadapt("export @tiny.safetensors --out tiny.onnx")
    assert "Conv" in netadapt("info tiny.onnx").out
    assert netadapt("export tiny.onnx --out again.onnx").code == 0
    assert (here / "again.onnx").exists()
