import numpy as np
import pytest
import torch
from fake_depth import tiny
from PIL import Image
from torch import nn

from netadapt.depth import predict
from netadapt.depth.data import open_data
from netadapt.errors import UserError


def test_photographs_are_seen_as_in_evaluation(nyu):
    dataset = open_data(f"pairs:{nyu}", (64, 96)).test
    path = next((nyu / "test" / "rgb").glob(f"{dataset.name(0).split('/')[-1].split('.')[0]}*"))
    model = tiny().train()
    (prediction,) = predict(model, [path], (64, 96))
    rgb = dataset.evaluation_example(0)[0]
    np.testing.assert_allclose(prediction.rgb.transpose(2, 0, 1), rgb, atol=1e-6)
    with torch.no_grad():
        depth = model.eval()(torch.from_numpy(rgb)[None])[0, 0]
    np.testing.assert_allclose(prediction.depth, depth.numpy(), atol=1e-5)


def test_any_size_and_mode_of_photograph_is_taken(tmp_path):
    for mode, size in (("RGB", (50, 90)), ("L", (300, 100)), ("RGBA", (64, 64))):
        Image.new(mode, size).save(tmp_path / f"{mode}.png")
    predictions = predict(tiny(), sorted(tmp_path.glob("*.png")), (32, 64))
    assert [p.path.stem for p in predictions] == ["L", "RGB", "RGBA"]
    assert all(p.rgb.shape == (32, 64, 3) and p.depth.shape == (32, 64) for p in predictions)


def test_what_cannot_be_predicted_is_said(tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken\.jpg"):
        predict(tiny(), [broken], (32, 32))
    with pytest.raises(UserError, match=r"image .*gone\.jpg does not exist"):
        predict(tiny(), [tmp_path / "gone.jpg"], (32, 32))
    with pytest.raises(UserError, match="name at least one"):
        predict(tiny(), [], (32, 32))
    Image.new("RGB", (32, 32)).save(tmp_path / "fine.png")
    with pytest.raises(UserError, match="does not answer with one depth map"):
        predict(nn.Conv2d(3, 2, 1), [tmp_path / "fine.png"], (32, 32))
