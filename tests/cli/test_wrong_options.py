"""Names that nobody knows and numbers that cannot be."""

import os

import pytest

TRAIN = "train --model @tiny.safetensors --data pairs:@pairs --input-size 32x32 --out new"
SEARCH = (
    "search --checkpoint @small.safetensors --data pairs:@pairs --lut @lut/made-up "
    "--budget-ms 150 --out new"
)
BENCHMARK = "benchmark @small.safetensors"
PROFILE = "profile-lut --model @small.safetensors --lut new"
MISSING = {
    "evaluate": "CHECKPOINT",
    "evaluate @tiny.safetensors": "--data",
    "predict": "CHECKPOINT",
    "predict @tiny.safetensors --out new": "IMAGE",
    "predict @tiny.safetensors @photo.jpg": "--out",
    "export @tiny.safetensors": "--out",
    "benchmark": "CHECKPOINT",
    "profile-lut": "--model",
    "info": "MODEL",
    "plot": "RUN",
    "train": "--out",
    "train --out new": "--model and --data",
    "search": "--checkpoint (or --model)",
    "search --checkpoint @small.safetensors": "--data",
    "search --checkpoint @small.safetensors --data pairs:@pairs": "--lut",
    "search --checkpoint @small.safetensors --data pairs:@pairs --lut x": "--budget-ms",
    "search --resume": "--out",
    "train --resume": "--out",
}
UNKNOWN = {
    "evaluate @tiny.safetensors --data pairs:@pairs --split train": ("train", "test, holdout"),
    f"{TRAIN} --steps 1 --optimizer adam": ("adam", "sgd, adamw"),
    f"{TRAIN} --steps 1 --schedule poly": ("poly", "constant, step, cosine, onecycle"),
    f"{TRAIN} --steps 1 --loss l2": ("l2", "l1, l1-log, berhu"),
    f"{TRAIN} --steps 1 --train-on tpu": ("tpu", "cpu or cuda[:N]"),
    f"{TRAIN} --steps 1 --train-on cuda:99": ("cuda:99", "is not there"),
    f"{TRAIN} --steps 1 --device cuda": ("what is timed", "give --train-on cuda"),
    f"{SEARCH} --device cuda": ("what is timed", "give --train-on cuda"),
    "evaluate @tiny.safetensors --device auto": ("what is timed", "give --train-on auto"),
    f"{SEARCH} --optimizer adam": ("adam", "sgd, adamw"),
    f"{SEARCH} --loss l2": ("l2", "l1, l1-log, berhu"),
    f"{SEARCH} --strategy luck": ("luck", "netadapt, netadapt-fast"),
    f"{SEARCH} --executor slurm": ("slurm", "inline, ray"),
    f"{SEARCH} --select luck": ("luck", "accuracy, ratio"),
    f"{BENCHMARK} --device tpu": ("tpu", "cpu"),
    f"{BENCHMARK} --runtime abacus": ("abacus", "onnxruntime, torch"),
    f"{PROFILE} --device tpu": ("tpu", "cpu"),
    f"{PROFILE} --runtime abacus": ("abacus", "onnxruntime, torch"),
    f"{PROFILE} --precision int3": ("int3", "fp32"),
    "dance": ("dance", "command"),
    "info @tiny.safetensors --colour red": ("--colour", "option"),
    "info @tiny.safetensors @small.safetensors": ("small.safetensors", "argument"),
}
NUMBERS = {
    TRAIN: {
        "--steps": ["0", "-1", "many", "1.5"],
        "--epochs": ["0", "-1", "nan", "inf", "many"],
        "--batch-size": ["0", "1", "-8", "x"],
        "--lr": ["0", "-1", "nan", "inf", "x"],
        "--momentum": ["-0.1", "1", "nan"],
        "--weight-decay": ["-1", "nan", "inf"],
        "--eval-every": ["0", "-5", "x"],
        "--seed": ["-1", "99999999999", "x"],
    },
    SEARCH: {
        "--budget-ms": ["0", "-1", "nan", "inf", "5ms"],
        "--short-steps": ["-1", "x"],
        "--long-steps": ["-1"],
        "--long-points": ["0"],
        "--batch-size": ["0", "1"],
        "--short-lr": ["0", "nan", "-1"],
        "--long-lr": ["0", "inf"],
        "--initial-reduction": ["0", "1", "nan"],
        "--decay": ["0", "1.1", "nan"],
        "--channel-multiple": ["0", "-8"],
        "--lowest-share": ["0", "1", "nan"],
        "--seed": ["-1", "x"],
    },
    BENCHMARK: {
        "--threads": ["0", "-1", "x", "99999"],
        "--batch": ["0", "99999", "x"],
        "--runs": ["0", "x"],
    },
    PROFILE: {
        "--threads": ["0", "99999"],
        "--batch": ["0", "99999"],
        "--channel-multiple": ["0", "x"],
    },
}


@pytest.mark.parametrize("command", MISSING)
def test_what_is_missing_is_named(netadapt, command):
    assert MISSING[command] in netadapt.refused_at_once(command)


@pytest.mark.parametrize("command", UNKNOWN)
def test_an_unknown_name_is_shown_with_the_known_ones(netadapt, command):
    line = netadapt.refused_at_once(command)
    for words in UNKNOWN[command]:
        assert words in line


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        (command, option, value)
        for command, options in NUMBERS.items()
        for option, values in options.items()
        for value in values
    ],
)
def test_a_number_that_cannot_be_is_named(netadapt, command, option, value):
    line = netadapt.refused_at_once(command, f"{option}={value}")
    assert option in line


def test_more_threads_than_cores_name_the_cores(netadapt):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert cores is not None
    line = netadapt.refused_at_once(BENCHMARK, f"--threads {cores + 1}")
    assert f"this machine has {cores} cores" in line


@pytest.mark.parametrize(
    "command",
    [
        f"{TRAIN} --steps 1 --epochs 1",
        f"{SEARCH} --model fastdepth",
    ],
)
def test_two_options_of_which_one_must_do_are_refused(netadapt, command):
    assert "not both" in netadapt.refused_at_once(command)


def test_imagenet_weights_are_not_for_a_checkpoint(netadapt):
    assert "takes no options" in netadapt.refused_at_once(TRAIN, "--steps 1 --imagenet")


def test_a_learning_rate_that_diverges_is_named(netadapt):
    line = netadapt.refused(TRAIN, "--steps 3 --lr 1e30 --schedule constant")
    assert "training diverged: the loss is" in line
    assert "learning rate 1e+30; give a lower one" in line
