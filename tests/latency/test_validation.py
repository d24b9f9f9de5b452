from pathlib import Path

import pandas as pd
import pytest

from netadapt.errors import UserError
from netadapt.latency.validation import load_validation, save_validation

VALIDATION = pd.DataFrame(
    {
        "network": [0, 1],
        "predicted_ms": [1.0, 2.0],
        "measured_ms": [1.25, 2.5],
        "repeat_ms": [1.5, 2.0],
        "conv0.0": [8, 16],
    }
)


def test_validation_reads_back(tmp_path: Path) -> None:
    save_validation(tmp_path, VALIDATION)
    pd.testing.assert_frame_equal(load_validation(tmp_path), VALIDATION, check_dtype=False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\xff",
        b"network,predicted_ms,measured_ms\n0,1,1\n",
        b"network,predicted_ms,measured_ms,repeat_ms\n",
        b"network,predicted_ms,measured_ms,repeat_ms\n0,1,one,1\n",
        b"network,predicted_ms,measured_ms,repeat_ms\n0,1,,1\n",
        b"network,predicted_ms,measured_ms,repeat_ms\n0,1,0,1\n",
        b'network,predicted_ms,measured_ms,repeat_ms\n0,1,"1,1\n',
    ],
)
def test_a_damaged_validation_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "validation.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"validation.csv") as caught:
        load_validation(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_absent_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"validation.csv does not exist"):
        load_validation(tmp_path)
