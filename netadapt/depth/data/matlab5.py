"""Reading vectors of numbers from MATLAB 5 files.

SciPy's reader can crash the process on a damaged file. This one reads only what
``splits.mat`` needs, as MathWorks' "MAT-File Format" lays it out.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 128
MAX_BYTES = 2**26
MATRIX, COMPRESSED = 14, 15
NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip


def read_vectors(path: Path) -> dict[str, NDArray[np.float64]]:
    """Every numeric array of the file, flattened, by name.

    Raises:
        ValueError: the file is damaged or not MATLAB 5.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES)
    order = {b"IM": "<", b"MI": ">"}.get(content[126:HEADER_BYTES])
    if order is None:
        raise ValueError("not a MATLAB 5 file")
    vectors = {}
    for kind, body in _elements(content[HEADER_BYTES:], order):
        if kind == COMPRESSED:
            kind, body = next(_elements(_inflate(body), order), (0, b""))
        if kind == MATRIX:
            parts = list(_elements(body, order))
            if len(parts) >= 4 and parts[3][0] in NUMBERS:
                name = parts[2][1].decode("ascii", "replace")
                vectors[name] = _numbers(parts[3], order)
    return vectors


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each data element; small ones keep kind and size in one word."""
    at = 0
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        start = at + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        end = start + size
        if end > len(content):
            raise ValueError("a data element is cut short")
        yield kind, content[start:end]
        at = end if kind == COMPRESSED else end + -end % 8


def _inflate(body: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, MAX_BYTES)
    except zlib.error as error:
        raise ValueError("a compressed element is damaged") from error


def _numbers(part: tuple[int, bytes], order: str) -> NDArray[np.float64]:
    kind, body = part
    return np.frombuffer(body, np.dtype(order + NUMBERS[kind])).astype(np.float64)
