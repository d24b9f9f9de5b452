"""``--input-sizes`` on the command line."""

import pytest

SEARCH = "search --checkpoint @tiny.safetensors --data pairs:@pairs --lut @lut/made-up --out new"


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ("32x32", "give 2 to 8 sizes"),
        ("32x32,", "'' is not HxW"),
        ("32x32,32", "'32' is not HxW"),
        ("32x32,0x32", "outside 1 to 4096"),
        ("32x32,32x32", "32x32 is there twice"),
        ("32x32,64x32", "64x32 is larger than 32x32"),
    ],
)
@pytest.mark.parametrize("command", [f"{SEARCH} --budget-ms 150", "info @tiny.safetensors"])
def test_sizes_that_cannot_be_are_refused(netadapt, command, sizes, words):
    assert words in netadapt.refused_at_once(command, f"--input-sizes {sizes}")


def test_a_size_that_the_network_does_not_take_is_refused(netadapt):
    line = netadapt.refused(SEARCH, "--budget-ms 15000 --input-sizes 32x32,24x24")
    assert (
        "--input-sizes 24x24: FastDepth takes heights and widths that are multiples of 32" in line
    )


def test_info_shows_what_the_network_costs_at_each_size(netadapt):
    sizes = netadapt("info @tiny.safetensors --json --input-sizes 64x64,32x32").json["input_sizes"]
    assert [one["input_size"] for one in sizes] == ["64x64", "32x32"]
    assert sizes[0]["macs"] == 4 * sizes[1]["macs"]
    for one in sizes:
        alone = netadapt("info @tiny.safetensors --json --input-size", one["input_size"]).json
        assert alone["macs"] == one["macs"]


def test_info_names_the_command_for_a_size_that_the_table_lacks(netadapt):
    line = netadapt.refused("info @tiny.safetensors --lut @lut/made-up --input-sizes 64x64,32x32")
    assert "no entry for" in line
    assert "--input-size 64x64" in line


def test_info_takes_one_kind_of_size(netadapt):
    line = netadapt.refused_at_once(
        "info @tiny.safetensors --input-size 32x32 --input-sizes 64x64,32x32"
    )
    assert "not both" in line
