"""What a moving camera recorded: single photographs, of which triplets are made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netadapt.depth.data.frames import Frame, Moment, Photo, Pinhole, Triplet


@dataclass(frozen=True)
class Shot:
    """One photograph of a recording.

    Attributes:
        frame: the photograph with its depth, 0 everywhere if it has none; it has a ``moment``.
        photo: the photograph alone.
        camera: what took it.
        has_depth: whether any depth is known of it.
    """

    frame: Frame
    photo: Photo
    camera: Pinhole
    has_depth: bool

    @property
    def name(self) -> str:
        """The file of the photograph."""
        return self.frame.name

    @property
    def block(self) -> str:
        """The block of the frame."""
        return self.frame.block

    @property
    def moment(self) -> Moment | None:
        """The moment of the frame."""
        return self.frame.moment


def with_depth(shots: Iterable[Shot]) -> list[Frame]:
    """The frames that can teach depth."""
    return [shot.frame for shot in shots if shot.has_depth]


def triplets(shots: Iterable[Shot], recorded: Mapping[Moment, Shot]) -> list[Triplet]:
    """Those of ``shots`` whose neighbours are in ``recorded``, with their neighbours."""
    found = []
    for shot in shots:
        assert shot.moment is not None
        recording, number = shot.moment
        before, after = (recorded.get((recording, number + step)) for step in (-1, 1))
        if before is not None and after is not None:
            found.append(Triplet(shot.frame, (before.photo, after.photo), shot.camera))
    return found
