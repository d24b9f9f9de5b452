"""What docs/ultralytics.md imports: a network of the same structure, data and a loss, all small."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES, BINS = 3, 8


class Conv(nn.Module):
    def __init__(self, given: int, channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, channels, kernel, stride, kernel // 2, bias=False)
        self.bn, self.act = nn.BatchNorm2d(channels), nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels, 3), Conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x))


class C2f(nn.Module):
    def __init__(self, given: int, channels: int) -> None:
        super().__init__()
        self.c = channels // 2
        self.cv1, self.cv2 = Conv(given, 2 * self.c), Conv(3 * self.c, channels)
        self.m = nn.ModuleList([Bottleneck(self.c)])

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        parts.extend(block(parts[-1]) for block in self.m)
        return self.cv2(torch.cat(parts, 1))


class SPPF(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels // 2), Conv(2 * channels, channels)
        self.m = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.cv1(x)]
        parts.extend(self.m(parts[-1]) for _ in range(3))
        return self.cv2(torch.cat(parts, 1))


class DFL(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(BINS, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data[:] = torch.arange(float(BINS)).view(1, BINS, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        bins = x.view(len(x), 4, BINS, -1).transpose(2, 1).softmax(1)
        return self.conv(bins).view(len(x), 4, -1)


class Detect(nn.Module):
    """Its anchors are computed when they are first needed, and kept."""

    shape: Any = None
    anchors = torch.empty(0)

    def __init__(self, nc: int, ch: tuple[int, ...]) -> None:
        super().__init__()
        self.nc, self.reg_max, self.nl = nc, BINS, len(ch)
        self.cv2, self.cv3 = (
            nn.ModuleList(nn.Sequential(Conv(c, 8, 3), nn.Conv2d(8, out, 1)) for c in ch)
            for out in (4 * BINS, nc)
        )
        self.dfl = DFL()

    def forward(self, x: list[Tensor]) -> Any:
        found = [
            torch.cat([head[n](x[n]).flatten(2) for n in range(self.nl)], -1)
            for head in (self.cv2, self.cv3)
        ]
        raw = {"boxes": found[0], "scores": found[1], "feats": x}
        return raw if self.training else (self.decoded(raw), raw)

    def decoded(self, raw: dict[str, Any]) -> Tensor:
        if self.shape != raw["feats"][0].shape:
            self.shape = raw["feats"][0].shape
            places = [torch.arange(feature[0, 0].numel()) for feature in raw["feats"]]
            self.anchors = torch.cat(places).to(raw["boxes"])
        return torch.cat([self.anchors + self.dfl(raw["boxes"]), raw["scores"].sigmoid()], 1)


class DetectionModel(nn.Module):
    """Two levels; runs once when it is built, to learn its strides."""

    def __init__(self, cfg: str, nc: int, verbose: bool = True) -> None:
        super().__init__()
        assert cfg.endswith(".yaml")
        layers = [Conv(3, 8, 3, 2), Conv(8, 16, 3, 2), C2f(16, 16), Conv(16, 16, 3, 2)]
        layers += [SPPF(16), C2f(32, 16), Detect(nc, (16, 16))]
        self.model = nn.Sequential(*layers)
        self.model.eval()
        self.model[-1].training = True
        with torch.no_grad():
            feats = self.forward(torch.zeros(1, 3, 64, 64))["feats"]
        self.stride = torch.tensor([64 / feature.shape[-2] for feature in feats])
        self.model.train()

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        stem, down, block, deeper, pool, neck, head = self.model
        fine = block(down(stem(x)))
        coarse = pool(deeper(fine))
        return head([neck(torch.cat([F.interpolate(coarse, scale_factor=2.0), fine], 1)), coarse])

    def init_criterion(self) -> Any:
        weights = (self.args.box, self.args.cls)

        def criterion(raw: dict[str, Any], batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            assert all(feature.shape[2] for feature in raw["feats"])
            count, wanted = len(raw["scores"]), torch.zeros_like(raw["scores"])
            wanted[batch["batch_idx"].long(), batch["cls"].long().flatten()] = 1
            score = F.binary_cross_entropy_with_logits(raw["scores"], wanted)
            box = (raw["boxes"].mean((1, 2)) - batch["bboxes"].mean()).square().mean()
            parts = torch.stack([weights[0] * box, weights[1] * score])
            return parts * count, parts.detach()

        return criterion


class YOLODataset:
    """Pictures in memory; a pixel tells the class."""

    def __init__(self, img_path: str, data: dict[str, Any], imgsz: int, augment: bool) -> None:
        assert not augment
        self.side, self.count = imgsz, {"train": 6, "val": 3, "test": 2}[Path(img_path).name]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        kind = place % CLASSES
        image = torch.full((3, self.side, self.side), 60 * kind + 20, dtype=torch.uint8)
        return {
            "img": image,
            "cls": torch.tensor([[float(kind)]]),
            "bboxes": torch.tensor([[0.5, 0.5, 0.2, 0.2]]),
            "batch_idx": torch.zeros(1),
        }

    @staticmethod
    def collate_fn(batch: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        joined = {key: torch.cat([one[key] for one in batch]) for key in ("cls", "bboxes")}
        places = [one["batch_idx"] + n for n, one in enumerate(batch)]
        return {
            **joined,
            "img": torch.stack([o["img"] for o in batch]),
            "batch_idx": torch.cat(places),
        }


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``import ultralytics`` find what is here."""
    parts: dict[str, dict[str, Any]] = {
        "ultralytics": {},
        "ultralytics.cfg": {"get_cfg": lambda: SimpleNamespace(box=7.5, cls=0.5)},
        "ultralytics.data": {"YOLODataset": YOLODataset},
        "ultralytics.data.utils": {
            "check_det_dataset": lambda data: {split: split for split in ("train", "val", "test")}
        },
        "ultralytics.nn": {},
        "ultralytics.nn.tasks": {"DetectionModel": DetectionModel},
    }
    for name, contents in parts.items():
        module = ModuleType(name)
        vars(module).update(contents, __path__=[])
        monkeypatch.setitem(sys.modules, name, module)
