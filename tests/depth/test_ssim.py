import pytest
import torch
import torch.nn.functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from netadapt.depth.ssim import box_window, gaussian_window, ssim


@pytest.mark.parametrize("data_range", [1.0, 100.0])
def test_the_gaussian_one_is_that_of_torchmetrics(data_range):
    random = torch.Generator().manual_seed(0)
    first = data_range * torch.rand(2, 3, 24, 30, generator=random)
    second = 0.7 * first + 0.3 * data_range * torch.rand(2, 3, 24, 30, generator=random)
    _, wanted = structural_similarity_index_measure(
        first, second, sigma=1.5, data_range=data_range, return_full_image=True
    )
    got = ssim(first, second, gaussian_window, data_range)
    assert got.shape == (2, 3, 14, 20)
    torch.testing.assert_close(got, wanted[..., 5:-5, 5:-5], rtol=1e-3, atol=1e-4)


def test_the_box_is_a_naive_mean_of_nine():
    random = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 1, 1, 5, 6, generator=random)
    got = ssim(first, second, box_window, 1.0)
    padded = [F.pad(image, (1, 1, 1, 1), mode="reflect")[0, 0] for image in (first, second)]
    for i in range(5):
        for j in range(6):
            a, b = (image[i : i + 3, j : j + 3] for image in padded)
            cov = ((a - a.mean()) * (b - b.mean())).mean()
            bright = (2 * a.mean() * b.mean() + 1e-4) / (a.mean() ** 2 + b.mean() ** 2 + 1e-4)
            contrast = (2 * cov + 9e-4) / (a.var(correction=0) + b.var(correction=0) + 9e-4)
            assert float(got[0, 0, i, j]) == pytest.approx(float(bright * contrast), rel=1e-4)


@pytest.mark.parametrize("window", [gaussian_window, box_window])
def test_an_image_is_wholly_like_itself(window):
    image = torch.rand(1, 2, 16, 16)
    like = ssim(image, image, window, 1.0)
    torch.testing.assert_close(like, torch.ones_like(like))
