"""Networks of many families, with random weights, for ``surgery.py`` and ``profile_families.py``.

Those of timm and torchvision are theirs. The small ones here have the structures of YOLOv8,
SegFormer, SSDLite, RAFT and Depth Anything, so that no further package is needed.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from netadapt import load_model
from netadapt.depth.models import FastDepth

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "depth"))
from depth_anything import DepthAnything

TIMM = (
    "mobilenetv2_050",
    "mobilenetv3_small_050",
    "efficientnet_lite0",
    "resnet18",
    "regnety_002",
    "convnext_atto",
    "convnext_tiny",
    "densenet121",
    "ghostnet_050",
    "hrnet_w18_small",
    "resnext50_32x4d",
    "nf_resnet26",
    "resnetv2_50d_gn",
    "rexnet_100",
    "res2net50_26w_4s",
    "cspresnet50",
    "skresnet18",
    "densenet169",
    "resnext101_32x8d",
    "mobilevit_xxs",
    "edgenext_xx_small",
    "poolformer_s12",
    "mnasnet_050",
    "mobilenetv4_conv_small",
    "repvgg_a0",
    "efficientvit_b0",
)


class Block(nn.Sequential):
    """Two 3x3 convolutions."""

    def __init__(self, given: int, channels: int) -> None:
        layers: list[nn.Module] = []
        for reads in (given, channels):
            layers += [
                nn.Conv2d(reads, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """Concats of skips, transposed convolutions, the image beside features, two heads."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.down = nn.ModuleList([Block(3, channels), Block(channels, 2 * channels)])
        self.bottom = Block(2 * channels, 4 * channels)
        self.widen = nn.ModuleList(
            [nn.ConvTranspose2d(4 * channels, 2 * channels, 2, 2),
             nn.ConvTranspose2d(2 * channels, channels, 2, 2)]
        )  # fmt: skip
        self.up = nn.ModuleList(
            [Block(4 * channels, 2 * channels), Block(2 * channels + 3, channels)]
        )
        self.classes, self.edges = nn.Conv2d(channels, 5, 1), nn.Conv2d(2 * channels, 1, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return class scores and edges, for images of height and width that 4 divides."""
        near = self.down[0](image)
        middle = self.down[1](F.max_pool2d(near, 2))
        deep = self.bottom(F.max_pool2d(middle, 2))
        middle = self.up[0](torch.cat([self.widen[0](deep), middle], 1))
        near = self.up[1](torch.cat([self.widen[1](middle), near, image], 1))
        return {"classes": self.classes(near), "edges": self.edges(middle)}


class SuperResolution(nn.Module):
    """PixelShuffle, weight norm, spectral norm, GroupNorm, a convolution used twice."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        weight_norm = nn.utils.parametrizations.weight_norm
        spectral_norm = nn.utils.parametrizations.spectral_norm
        self.stem = weight_norm(nn.Conv2d(3, channels, 3, padding=1))
        self.again = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(channels // 4, channels)
        self.widen = spectral_norm(nn.Conv2d(channels, 4 * channels, 3, padding=1))
        self.shuffle = nn.PixelShuffle(2)
        self.after = nn.Conv2d(channels, channels, 3, padding=1, groups=4)
        self.head = nn.Conv2d(channels, 12, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the image at four times its size."""
        x = F.relu(self.stem(image))
        x = x + F.relu(self.norm(self.again(F.relu(self.again(x)))))
        x = F.relu(self.after(self.shuffle(self.widen(x))))
        return F.pixel_shuffle(self.head(x), 2)


class Recurrent(nn.Module):
    """A convolutional encoder, a GRU over its columns, and a head for each."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(Block(3, channels), nn.MaxPool2d(2), Block(channels, channels))
        self.memory = nn.GRU(channels, channels, batch_first=True)
        self.head = nn.Linear(channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(N, W / 2, 1)``."""
        columns = self.encoder(image).mean(2).transpose(1, 2)
        found: Tensor = self.head(self.memory(columns)[0])
        return found


class ConvAct(nn.Sequential):
    """Convolution, batch norm, SiLU: the unit of YOLO."""

    def __init__(self, given: int, channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(given, channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
        )


class Bottleneck(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, channels: int, shortcut: bool = True) -> None:
        super().__init__()
        self.first, self.second = ConvAct(channels, channels, 3), ConvAct(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.second(self.first(x))
        return x + found if self.shortcut else found


class C2f(nn.Module):
    """Halves of the channels; one goes through bottlenecks, all that comes of it is joined."""

    def __init__(self, given: int, channels: int, blocks: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        half = channels // 2
        self.split = ConvAct(given, channels)
        self.blocks = nn.ModuleList(Bottleneck(half, shortcut) for _ in range(blocks))
        self.join = ConvAct((2 + blocks) * half, channels)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.split(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        joined: Tensor = self.join(torch.cat(parts, 1))
        return joined


class SPPF(nn.Module):
    """Poolings behind each other, joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = ConvAct(channels, channels // 2), ConvAct(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        joined: Tensor = self.last(torch.cat(parts, 1))
        return joined


class Detect(nn.Module):
    """Boxes as distributions over distances, and scores, of every position of three levels."""

    def __init__(self, levels: tuple[int, ...], classes: int = 5, bins: int = 16) -> None:
        super().__init__()
        self.classes, self.bins = classes, bins
        self.boxes = nn.ModuleList(
            nn.Sequential(ConvAct(c, 64, 3), ConvAct(64, 64, 3), nn.Conv2d(64, 4 * bins, 1))
            for c in levels
        )
        self.scores = nn.ModuleList(
            nn.Sequential(ConvAct(c, 32, 3), ConvAct(32, 32, 3), nn.Conv2d(32, classes, 1))
            for c in levels
        )
        self.distance = nn.Conv2d(bins, 1, 1, bias=False).requires_grad_(False)
        self.distance.weight.data[:] = torch.arange(bins, dtype=torch.float32).view(1, bins, 1, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Return ``(N, 4 + classes, positions)``."""
        found = [
            torch.cat([box(x), score(x)], 1).flatten(2)
            for x, box, score in zip(levels, self.boxes, self.scores, strict=True)
        ]
        boxes, scores = torch.cat(found, 2).split((4 * self.bins, self.classes), 1)
        bins = boxes.view(len(boxes), 4, self.bins, -1).transpose(1, 2).softmax(1)
        return torch.cat([self.distance(bins).squeeze(1), scores.sigmoid()], 1)


class Yolo(nn.Module):
    """The structure of YOLOv8: C2f blocks, SPPF, a pyramid up and down, a decoupled head."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        c = channels
        self.stem = nn.Sequential(ConvAct(3, c, 3, 2), ConvAct(c, 2 * c, 3, 2), C2f(2 * c, 2 * c))
        self.p3 = nn.Sequential(ConvAct(2 * c, 4 * c, 3, 2), C2f(4 * c, 4 * c, 2))
        self.p4 = nn.Sequential(ConvAct(4 * c, 8 * c, 3, 2), C2f(8 * c, 8 * c, 2))
        self.p5 = nn.Sequential(ConvAct(8 * c, 16 * c, 3, 2), C2f(16 * c, 16 * c), SPPF(16 * c))
        self.up4 = C2f(24 * c, 8 * c, shortcut=False)
        self.up3 = C2f(12 * c, 4 * c, shortcut=False)
        self.down3, self.down4 = ConvAct(4 * c, 4 * c, 3, 2), ConvAct(8 * c, 8 * c, 3, 2)
        self.mid = C2f(12 * c, 8 * c, shortcut=False)
        self.deep = C2f(24 * c, 16 * c, shortcut=False)
        self.head = Detect((4 * c, 8 * c, 16 * c))

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(N, 4 + classes, positions)``."""
        p3 = self.p3(self.stem(image))
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        up4 = self.up4(torch.cat([F.interpolate(p5, scale_factor=2.0), p4], 1))
        up3 = self.up3(torch.cat([F.interpolate(up4, scale_factor=2.0), p3], 1))
        mid = self.mid(torch.cat([self.down3(up3), up4], 1))
        deep = self.deep(torch.cat([self.down4(mid), p5], 1))
        found: Tensor = self.head([up3, mid, deep])
        return found


class ReducedAttention(nn.Module):
    """SegFormer's attention: keys and values of a smaller image."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.reduce = nn.Conv2d(width, width, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(width) if reduction > 1 else None

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        count, tokens, _ = x.shape
        q = self.q(x).reshape(count, tokens, self.num_heads, -1).transpose(1, 2)
        if self.reduce is not None and self.norm is not None:
            image = x.transpose(1, 2).unflatten(2, (height, width))
            x = self.norm(self.reduce(image).flatten(2).transpose(1, 2))
        k, v = self.kv(x).reshape(count, -1, 2, self.num_heads, q.shape[-1]).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
        found: Tensor = self.proj((weights @ v).transpose(1, 2).reshape(count, tokens, -1))
        return found


class MixBlock(nn.Module):
    """Attention, and an MLP with a depthwise convolution in it."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = ReducedAttention(width, heads, reduction)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.mix = nn.Conv2d(4 * width, 4 * width, 3, padding=1, groups=4 * width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x + self.attention(self.first(x), height, width)
        hidden = self.widen(self.second(x)).transpose(1, 2).unflatten(2, (height, width))
        hidden = F.gelu(self.mix(hidden)).flatten(2).transpose(1, 2)
        return x + self.narrow(hidden)


class SegFormer(nn.Module):
    """The structure of SegFormer-B0: four stages with overlapping patches, an MLP head."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 160, 256), decoder: int = 64) -> None:
        super().__init__()
        given = (3, *widths)
        self.patch = nn.ModuleList(
            nn.Conv2d(given[n], width, *((7, 4, 3) if n == 0 else (3, 2, 1)))
            for n, width in enumerate(widths)
        )
        self.patch_norm = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.blocks = nn.ModuleList(
            MixBlock(width, width // 32, 8 // 2**n) for n, width in enumerate(widths)
        )
        self.norm = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.project = nn.ModuleList(nn.Linear(width, decoder) for width in widths)
        self.fuse = nn.Sequential(
            nn.Conv2d(4 * decoder, decoder, 1, bias=False), nn.BatchNorm2d(decoder), nn.ReLU()
        )
        self.classes = nn.Conv2d(decoder, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, classes, H / 4, W / 4)``."""
        levels: list[Tensor] = []
        stages = zip(self.patch, self.patch_norm, self.blocks, self.norm, self.project, strict=True)
        for patch, patch_norm, block, norm, project in stages:
            x = patch(x)
            height, width = x.shape[2:]
            tokens = norm(block(patch_norm(x.flatten(2).transpose(1, 2)), height, width))
            x = tokens.transpose(1, 2).unflatten(2, (height, width))
            level = project(tokens).transpose(1, 2).unflatten(2, (height, width))
            size = level.shape[2:] if not levels else levels[0].shape[2:]
            levels.append(F.interpolate(level, size=size, mode="bilinear"))
        found: Tensor = self.classes(self.fuse(torch.cat(levels, 1)))
        return found


class SsdLite(nn.Module):
    """torchvision's SSDLite without its post-processing: backbone and heads."""

    def __init__(self) -> None:
        super().__init__()
        whole = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=5
        )
        self.backbone, self.head = whole.backbone, whole.head

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.head(list(self.backbone(image).values()))
        return found


class ConvGru(nn.Module):
    """Convolutional gates, as RAFT updates its state with."""

    def __init__(self, state: int, given: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(state + given, 2 * state, 3, padding=1)
        self.proposal = nn.Conv2d(state + given, state, 3, padding=1)

    def forward(self, state: Tensor, x: Tensor) -> Tensor:
        update, reset = torch.sigmoid(self.gates(torch.cat([state, x], 1))).chunk(2, 1)
        proposal = torch.tanh(self.proposal(torch.cat([reset * state, x], 1)))
        return (1 - update) * state + update * proposal


class Raft(nn.Module):
    """The structure of RAFT: correlations of all pairs, read where the flow points, and a GRU.

    The two images come as six channels.
    """

    def __init__(self, channels: int = 32, state: int = 24, steps: int = 2) -> None:
        super().__init__()
        self.state, self.steps = state, steps
        self.features = nn.Sequential(Block(3, channels), nn.AvgPool2d(8), Block(channels, 48))
        self.context = nn.Sequential(Block(3, channels), nn.AvgPool2d(8), Block(channels, 48))
        self.start, self.inputs = nn.Conv2d(48, state, 1), nn.Conv2d(48, 16, 1)
        self.motion = nn.Conv2d(9 + 2, 32, 3, padding=1)
        self.gru = ConvGru(state, 16 + 32)
        self.flow = nn.Sequential(
            nn.Conv2d(state, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 2, 3, padding=1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the flow at an eighth of the size, ``(N, 2, H / 8, W / 8)``."""
        first, second = images[:, :3], images[:, 3:]
        one, two, context = self.features(first), self.features(second), self.context(first)
        count, channels, height, width = one.shape
        volume = one.flatten(2).transpose(1, 2) @ two.flatten(2) / channels**0.5
        volume = volume.reshape(count * height * width, 1, height, width)
        state, inputs = torch.tanh(self.start(context)), torch.relu(self.inputs(context))
        flow = torch.zeros_like(images[:, :2, :height, :width])
        for _ in range(self.steps):
            seen = self.looked_up(volume, flow)
            motion = torch.relu(self.motion(torch.cat([seen, flow], 1)))
            state = self.gru(state, torch.cat([inputs, motion], 1))
            flow = flow + self.flow(state)
        return flow

    def looked_up(self, volume: Tensor, flow: Tensor) -> Tensor:
        """Return the 3x3 correlations around where the flow points, ``(N, 9, H, W)``."""
        count, _, height, width = flow.shape
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centre = torch.stack([columns, rows]).to(flow) + flow
        around = torch.stack(
            torch.meshgrid(torch.arange(-1, 2), torch.arange(-1, 2), indexing="ij"), -1
        ).to(flow)
        places = centre.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2) + around
        scale = torch.tensor([max(width - 1, 1), max(height - 1, 1)]).to(flow)
        found = F.grid_sample(volume, 2 * places / scale - 1, align_corners=True)
        return found.view(count, height, width, 9).permute(0, 3, 1, 2)


# of a fixed input size, or with options
SIZED: dict[str, Callable[[], nn.Module]] = {
    "vit_tiny": lambda: timm.create_model("vit_tiny_patch16_224", img_size=64),
    "deit3_small": lambda: timm.create_model("deit3_small_patch16_224", img_size=64, depth=4),
    "swin_tiny": lambda: timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=64, window_size=4
    ),
    "maxvit_pico": lambda: timm.create_model("maxvit_pico_rw_256", img_size=64),
    "googlenet": lambda: torchvision.models.googlenet(weights=None, init_weights=True),
    "shufflenet_v2": torchvision.models.shufflenet_v2_x0_5,
    "vit_torchvision": lambda: torchvision.models.VisionTransformer(64, 16, 2, 4, 48, 96),
    "lraspp": lambda: torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None
    ),
    "deeplabv3": lambda: torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None
    ),
    "gru": Recurrent,
    "yolo": Yolo,
    "segformer": SegFormer,
    "ssdlite": SsdLite,
    "raft": Raft,
    "depth_anything": lambda: DepthAnything((64, 64)),
}
BUILDERS: dict[str, Callable[[], nn.Module]] = {
    **{name: partial(load_model, name) for name in
       ("fastdepth", "monodepth2", "densedepth", "lapdepth")},
    **{name: partial(timm.create_model, name) for name in TIMM},
    "unet": UNet,
    "super_resolution": SuperResolution,
    **SIZED,
}  # fmt: skip


CHANNELS = {"raft": 6}  # of the input, where they are not 3


def example(name: str, side: int = 64) -> Tensor:
    """A random input of a network."""
    return torch.rand(1, CHANNELS.get(name, 3), side, side)


def built(builder: Callable[[], nn.Module], channels: int = 3) -> nn.Module:
    """Build a network in eval mode, its weights random and its norms away from the identity.

    Batch norms hold the statistics of a batch, as training would leave them: the network answers
    within the range of its activations.
    """
    torch.manual_seed(0)
    model = builder()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm) and module.affine:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    for module in model.modules():
        if isinstance(module, nn.Linear) and not bool(module.weight.any()):  # a head that says 0
            nn.init.normal_(module.weight, std=0.02)
    for name, parameter in model.named_parameters():
        if name.endswith("gamma") or "layer_scale" in name:  # layer scales start near 0
            nn.init.uniform_(parameter, 0.5, 1.5)
    if isinstance(model, FastDepth):
        model.set_depth_statistics(3.0, 1.0)  # its last ReLU must let something through
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(4, channels, 64, 64))
    return model.eval()


def network(name: str) -> nn.Module:
    """Build one of ``BUILDERS``."""
    return built(BUILDERS[name], CHANNELS.get(name, 3))


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a table of results, by network; none where there is no table."""
    if not path.exists():
        return {}
    table = pd.read_csv(path).astype(object)
    rows = table.where(table.notna(), None).to_dict(orient="records")
    return {str(row["network"]): {str(key): row[key] for key in row} for row in rows}
