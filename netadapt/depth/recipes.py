"""How the authors of each depth network trained it."""

from netadapt.training.recipes import Recipe
from netadapt.training.settings import TrainSettings

FASTDEPTH = Recipe(TrainSettings(steps=1), (224, 224), task_options={"loss": "l1"})
MONODEPTH2 = Recipe(
    TrainSettings(steps=1, batch_size=12, optimizer="adamw", lr=1e-4, weight_decay=0.0),
    (192, 640),
    task="self-supervised",
    decay_share=15 / 20,
)
DENSEDEPTH = Recipe(
    TrainSettings(
        steps=1,
        batch_size=8,
        optimizer="amsgrad",
        lr=1e-4,
        weight_decay=0.0,
        schedule="constant",
    ),
    (480, 640),
    task_options={"loss": "densedepth"},
)
LAPDEPTH = Recipe(
    TrainSettings(
        steps=1,
        batch_size=16,
        optimizer="adamw",
        lr=1e-4,
        weight_decay=1e-2,
        decoder_weight_decay=0.0,
        schedule="polynomial",
    ),
    (416, 544),
    task_options={"loss": "silog"},
    epochs=50,
)
