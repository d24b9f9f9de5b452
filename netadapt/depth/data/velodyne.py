"""KITTI's calibration files, and its laser points as depth images of camera 2 or 3."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netadapt.depth.data.frames import Depth, Pinhole
from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.texts import text_of

MAX_BYTES = 2**26
POINT_BYTES = 16
MIN_DEPTH = 1e-3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A rectified camera of KITTI.

    Attributes:
        camera: in pixels of a rectified photograph.
        from_velodyne: ``(3, 4)``, laser coordinates in metres to (u d, v d, d), with d the depth.
    """

    camera: Pinhole
    from_velodyne: Floats


def read_calibration(day: Path, camera: str) -> Calibration:
    """Read the two calibration files of a day for ``camera``, ``02`` or ``03``.

    Raises:
        UserError: a file is missing or lacks a matrix.
    """
    cameras = _Matrices(day / "calib_cam_to_cam.txt")
    laser = _Matrices(day / "calib_velo_to_cam.txt")
    width, height = cameras.get(f"S_rect_{camera}", 1, 2)[0]
    projection = cameras.get(f"P_rect_{camera}", 3, 4)
    rectified, moved = np.eye(4), np.eye(4)
    rectified[:3, :3] = cameras.get("R_rect_00", 3, 3)
    moved[:3, :3], moved[:3, 3:] = laser.get("R", 3, 3), laser.get("T", 3, 1)
    if min(projection[0, 0], projection[1, 1], width, height) <= 0:
        raise UserError(f"{cameras.path}: camera {camera} has no size or focal length; replace it")
    pinhole = Pinhole(
        width=int(width),
        height=int(height),
        fx=float(projection[0, 0]),
        fy=float(projection[1, 1]),
        cx=float(projection[0, 2]),
        cy=float(projection[1, 2]),
    )
    return Calibration(pinhole, projection @ rectified @ moved)


def read_velodyne(path: Path) -> Floats:
    """Read laser points ``(N, 3)`` in metres; ``UserError`` if the file is no list of points."""
    try:
        size = existing_file(path, "laser scan").stat().st_size
        if not 0 < size <= MAX_BYTES or size % POINT_BYTES:
            raise UserError(f"{path} is {size} bytes, no list of laser points; replace it")
        points = np.fromfile(path, "<f4").reshape(-1, 4)[:, :3].astype(np.float64)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read laser scan {path}; replace it") from error
    if not np.isfinite(points).all():
        raise UserError(f"{path} holds points that are not finite; replace it")
    return points


def depth_image(points: Floats, calibration: Calibration) -> Depth:
    """Project laser points ``(N, 3)``: depth ``(H, W)`` in metres, 0 where no point falls.

    A point belongs to the pixel whose centre is nearest; of several the nearest surface counts.
    Points behind the scanner are left out, as in Eigen et al. (NeurIPS 2014).
    """
    ahead = points[points[:, 0] >= 0]
    u, v, depth = calibration.from_velodyne @ np.vstack([ahead.T, np.ones(len(ahead))])
    in_front = depth > MIN_DEPTH
    depth = depth[in_front]
    columns, rows = np.rint(u[in_front] / depth), np.rint(v[in_front] / depth)
    height, width = calibration.camera.height, calibration.camera.width
    seen = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    pixels = rows[seen].astype(np.int64) * width + columns[seen].astype(np.int64)
    image = np.full(height * width, np.inf)
    np.minimum.at(image, pixels, depth[seen])
    image[np.isinf(image)] = 0
    return image.astype(np.float32).reshape(height, width)


class _Matrices:
    """The ``name: numbers`` lines of a calibration file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = text_of(existing_file(path, "calibration"))
        except ValueError as error:
            raise UserError(f"{path} is not text; replace it") from error
        lines = (line.partition(":") for line in text.splitlines())
        self._lines = {name.strip(): numbers.split() for name, _, numbers in lines}

    def get(self, name: str, rows: int, columns: int) -> Floats:
        """The matrix ``name``, finite and of this shape."""
        try:
            matrix = np.array([float(number) for number in self._lines[name]])
            if not np.isfinite(matrix).all():
                raise ValueError("not finite")
            return matrix.reshape(rows, columns)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{self.path}: {name} is not {rows * columns} numbers; fetch the file again"
            ) from error
