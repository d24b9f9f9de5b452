"""Sample strips as pictures inside the page."""

import base64
import io
from typing import Any

from PIL import Image

from netadapt.report.samples import (
    Photograph,
    Samples,
    colour_depth,
    depth_range,
    known_depth,
    score_text,
)

WIDEST = 320
QUALITY = 88


def strips_data(samples: Samples, widest: int = WIDEST) -> dict[str, Any]:
    """Return photographs, truths and the answers of each candidate as data URIs.

    All depth maps share one colour scale, in metres.

    Args:
        samples: the run's.
        widest: pixels; wider pictures are made smaller.
    """
    near, far = depth_range(samples.truth)
    return {
        "names": list(samples.titles),
        "width": samples.rgb.shape[2],
        "height": samples.rgb.shape[1],
        "near": near,
        "far": far,
        "photographs": [_uri(rgb, widest) for rgb in samples.rgb],
        "truths": [_uri(colour_depth(depth, near, far), widest) for depth in samples.truth],
        "unknown": [round(100 * (1 - float(known_depth(t).mean())), 1) for t in samples.truth],
        "answers": {
            name: [_uri(colour_depth(depth, near, far), widest) for depth in answer]
            for name, answer in samples.answers.items()
        },
        "scores": {
            name: [
                score_text(depth, truth) for depth, truth in zip(answer, samples.truth, strict=True)
            ]
            for name, answer in samples.answers.items()
        },
        "final": samples.final,
    }


def _uri(rgb: Photograph, widest: int) -> str:
    picture = Image.fromarray(rgb)
    if picture.width > widest:
        height = max(round(picture.height * widest / picture.width), 1)
        picture = picture.resize((widest, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode()
