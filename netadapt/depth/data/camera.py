"""``camera.json``: the camera of a recording, and the unit of its depth images."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netadapt.depth.data.frames import Pinhole
from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.texts import object_of
from netadapt.wording import first_problem

Side = Annotated[int, Field(ge=1, le=2**15)]
Focal = Annotated[float, Field(gt=0, lt=1e6)]
Centre = Annotated[float, Field(gt=-1e6, lt=1e6)]


class CameraFile(BaseModel):
    """A pinhole camera in pixels of a ``width`` x ``height`` photograph; other keys are ignored.

    ``depth_unit_m`` is metres per unit of the 16-bit depth PNG.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    width: Side
    height: Side
    fx: Focal
    fy: Focal
    cx: Centre
    cy: Centre
    depth_unit_m: Annotated[float, Field(gt=0, lt=1e3)] = 0.001

    @property
    def pinhole(self) -> Pinhole:
        """The camera alone."""
        return Pinhole(self.width, self.height, self.fx, self.fy, self.cx, self.cy)


def read_camera(*places: Path) -> CameraFile:
    """Read the first ``camera.json`` there is in the folders ``places``.

    Raises:
        UserError: there is none, it is not JSON, or a number is missing or impossible.
    """
    files = [place / "camera.json" for place in places]
    path = next((file for file in files if file.is_file()), files[-1])
    if not path.exists():
        raise UserError(
            f"{path} does not exist; write it: "
            '{"width": ..., "height": ..., "fx": ..., "fy": ..., "cx": ..., "cy": ...} in pixels'
        )
    try:
        return CameraFile.model_validate(object_of(existing_file(path, "camera")))
    except ValidationError as error:
        raise UserError(f"{path} is no camera file: {first_problem(error)}") from error
    except ValueError as error:
        raise UserError(f"{path} is no camera file: {error}") from error
