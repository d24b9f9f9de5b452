"""What ``netadapt evaluate`` prints."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from netadapt.depth import task as depth_task
from netadapt.depth.data import open_data
from netadapt.depth.metrics import METRICS
from netadapt.depth.protocols import PROTOCOLS

EVALUATE = "evaluate @tiny.safetensors --data pairs:@pairs"


def test_every_score_has_a_line_with_its_unit(netadapt):
    result = netadapt(EVALUATE)
    assert (result.code, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    assert [line[0] for line in lines] == list(METRICS)
    units = {line[0]: line[2:] for line in lines}
    assert units["rmse"] == units["mae"] == units["sqrel"] == ["m"]
    assert units["irmse"] == ["1/m"]
    assert units["delta1"] == units["rmse_log"] == []


def test_the_device_is_one_that_is_there(netadapt):
    assert netadapt(EVALUATE, "--train-on cpu").out == netadapt(EVALUATE).out
    line = netadapt.refused(EVALUATE, "--train-on cuda:99")
    assert line.startswith("device cuda:99 is not there; torch sees ")


def test_help_says_what_the_unit_is_and_names_every_protocol(netadapt):
    told = re.sub(r"\s+", " ", netadapt("evaluate --help").out)
    assert "in METRES (not millimetres)" in told
    words = set(re.split(r"[\s,.]+", told.replace("- ", "-")))
    assert PROTOCOLS.keys() <= words


@pytest.mark.parametrize("name", PROTOCOLS)
def test_json_tells_the_protocol_and_what_it_means(netadapt, name):
    result = netadapt(EVALUATE, "--json --protocol", name)
    assert result.code == 0
    told = result.json["protocol"]
    expected = PROTOCOLS[name]
    assert (told["name"], told["source"], told["flip"]) == (name, expected.source, expected.flip)
    assert told["caps"] == (list(expected.caps) if expected.caps else None)
    assert (told["crop"] is None) == (expected.crop is None)
    assert result.json["rmse"] > 0


def test_fastdepth_is_what_is_scored_unless_told_otherwise(netadapt):
    default = netadapt(EVALUATE, "--json").json
    assert default == netadapt(EVALUATE, "--json --protocol fastdepth").json
    other = netadapt(EVALUATE, "--json --protocol eigen-nyu").json
    assert other["rmse"] != default["rmse"]


def test_an_unknown_protocol_is_named_before_anything_is_read(netadapt):
    line = netadapt.refused_at_once("evaluate @tiny.safetensors --data pairs:missing --protocol x")
    assert line.startswith("unknown protocol 'x'; known: fastdepth, fastdepth-official, eigen-nyu")


def test_a_sequence_can_be_scored(netadapt, here):
    for part in ("rgb", "depth"):
        (here / "video" / part).mkdir(parents=True)
    for number in range(40):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(here / f"video/rgb/{number:02d}.png")
        depths = np.full((48, 64), 2000, np.uint16)
        Image.fromarray(depths).save(here / f"video/depth/{number:02d}.png")
    camera = {"width": 64, "height": 48, "fx": 60, "fy": 60, "cx": 31.5, "cy": 23.5}
    (here / "video/camera.json").write_text(json.dumps(camera))
    result = netadapt("evaluate @tiny.safetensors --data sequence:video --protocol monodepth2")
    assert (result.code, result.err) == (0, "")


def test_a_split_that_is_not_the_usual_one_is_told(netadapt, monkeypatch):
    monkeypatch.setattr(
        depth_task,
        "open_data",
        lambda *given, **more: replace(open_data(*given, **more), note="cut by drive"),
    )
    result = netadapt(EVALUATE, "--json")
    assert result.err == "cut by drive\n"
    assert "delta1" in result.json
