import json
import sys

import pytest
import torch
from fake_video import video_task

from netadapt.cli.main import main
from netadapt.depth import recipes
from netadapt.models import MODELS, build
from netadapt.training import TrainFolder, load_checkpoint, read_config, save_checkpoint, tasks
from netadapt.training.recipes import GENERAL, recipe_for
from netadapt.training.schedule import learning_rate

PUBLISHED = {
    # loss, optimizer, rate, decay, batch, epochs
    "monodepth2": (None, "adamw", 1e-4, 0.0, 12, 20),
    "densedepth": ("densedepth", "amsgrad", 1e-4, 0.0, 8, 20),
    "lapdepth": ("silog", "adamw", 1e-4, 1e-2, 16, 50),
    "fastdepth": ("l1", "sgd", 1e-2, 1e-4, 8, 20),
}


@pytest.fixture
def netadapt(monkeypatch):
    """Runs one command in this process; returns its exit code."""

    def run(command, *more):
        monkeypatch.setattr(sys, "argv", ["netadapt", *command.split(), *map(str, more)])
        try:
            main()
        except SystemExit as end:
            return end.code or 0
        return 0

    return run


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_is_the_published_one(name):
    recipe = recipe_for(name)
    how = recipe.settings
    assert PUBLISHED[name] == (
        recipe.task_options.get("loss"),
        how.optimizer,
        how.lr,
        how.weight_decay,
        how.batch_size,
        recipe.epochs,
    )


def test_rates_fall_as_published():
    def rate(name, step, steps):
        recipe = recipe_for(name)
        decay_every = recipe.decay_every(steps) or -(-steps // 3)
        how = recipe.settings
        return learning_rate(how.schedule, how.lr, step, steps, decay_every)

    assert [rate("monodepth2", step, 200) for step in (0, 149, 150, 199)] == pytest.approx(
        [1e-4, 1e-4, 1e-5, 1e-5]  # a tenth from epoch 15 of 20
    )
    assert [rate("densedepth", step, 200) for step in (0, 199)] == [1e-4, 1e-4]
    assert rate("lapdepth", 0, 200) == pytest.approx(1e-4)
    assert rate("lapdepth", 200, 200) == pytest.approx(1e-5)
    assert recipe_for("lapdepth").settings.decoder_weight_decay == 0.0


def test_a_network_of_the_users_own_is_not_trained_as_fastdepth_is():
    assert recipe_for("package.module:factory") == GENERAL
    assert all(recipe_for(n) == recipes.FASTDEPTH for n in MODELS if n.startswith("fastdepth"))


def test_a_file_has_the_recipe_of_its_network_and_its_own_size(tmp_path):
    path = tmp_path / "small.safetensors"
    save_checkpoint(build("monodepth2", scales=[0]), path, input_size=(64, 96))
    recipe = recipe_for(str(path))
    assert recipe.settings == recipes.MONODEPTH2.settings
    assert recipe.input_size == (64, 96)


def test_another_task_brings_its_own_loss_and_size():
    recipe = recipe_for("densedepth", "digits")
    assert (recipe.task, recipe.task_options, recipe.input_size) == ("digits", {}, None)
    assert recipe_for("densedepth", "depth") == recipe_for("densedepth")


def test_train_builds_with_the_options_given(netadapt, tmp_path, capsys):
    out = tmp_path / "run"
    words = (
        "train --model fastdepth-timm --model-option encoder=mobilenetv3_small_050 "
        "--model-option skips=concat --data synthetic:6 --input-size 32x32 --steps 1 "
        f"--batch-size 2 --out {out}"
    )
    assert netadapt(words) == 0
    model = load_checkpoint(capsys.readouterr().out.strip())
    assert model.spec.options == {"encoder": "mobilenetv3_small_050", "skips": "concat"}
    config = read_config(out)
    assert config.settings.optimizer == "sgd"
    assert config.settings.batch_size == 2
    assert netadapt("train --resume --out", out) == 0


opened: list[tuple[object, object]] = []


def open_video(data, input_size):
    opened.append((data, input_size))
    return video_task()


def test_train_follows_the_recipe_of_the_network(netadapt, tmp_path, monkeypatch):
    opened.clear()
    monkeypatch.setitem(tasks.TASKS, "self-supervised", "test_recipes:open_video")
    out = tmp_path / "run"
    words = f"train --model monodepth2 --data video --steps 1 --batch-size 2 --seed 3 --out {out}"
    assert netadapt(words) == 0
    assert opened == [("video", (192, 640))]
    config = read_config(out)
    assert (config.task, config.task_options) == ("self-supervised", {})
    assert config.input_size == (64, 96)
    assert (config.settings.optimizer, config.settings.lr) == ("adamw", 1e-4)
    assert config.settings.decay_every == 1
    assert load_checkpoint(TrainFolder(out).final).spec.input_size == (64, 96)


def test_a_training_from_before_there_were_tasks_is_read(netadapt, tmp_path):
    out = tmp_path / "run"
    words = f"train --model fastdepth --data synthetic:6 --input-size 32x32 --steps 1 --out {out}"
    assert netadapt(words) == 0
    config = json.loads(TrainFolder(out).config.read_text())
    del config["task"], config["task_options"], config["settings"]["decoder_weight_decay"]
    config |= {"loss": "l1", "on_bad_sample": "fail"}
    TrainFolder(out).config.write_text(json.dumps(config))
    assert read_config(out).task == "depth"
    assert netadapt("train --resume --out", out) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model-option depth", "--model-option 'depth' is not KEY=VALUE, as in num_layers=50"),
        ("--model-option =4", "is not KEY=VALUE"),
        ("--model-option colour=red", "cannot be built with options {'colour': 'red'}"),
        ("--model-option widths=tiny", "unknown FastDepth widths 'tiny'"),
        ("--decoder-weight-decay -1", "--decoder-weight-decay -1.0: give a number of at least 0"),
        ("--task dance", "unknown task 'dance'"),
    ],
)
def test_options_that_make_no_sense_are_refused(netadapt, words, message, tmp_path, capsys):
    command = "train --model fastdepth --data synthetic:6 --input-size 32x32 --steps 1 --out"
    assert netadapt(command, tmp_path / "run", *words.split()) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_options_are_json_where_they_can_be(netadapt, tmp_path):
    out = tmp_path / "run"
    words = f"train --model fastdepth --data synthetic:6 --input-size 32x32 --steps 1 --out {out}"
    widths = {f"conv{block}.3": 8 for block in range(1, 14)}
    assert netadapt(words, "--model-option", f"widths={json.dumps(widths)}") == 0
    with torch.no_grad():
        assert load_checkpoint(TrainFolder(out).final).conv5[3].out_channels == 8
