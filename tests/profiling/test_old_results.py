"""Results of bundles of earlier versions are imported for ever."""

from pathlib import Path

from quick_profile import Stages

from netadapt.latency.predictor import LatencyPredictor
from netadapt.profiling.bundle import import_results
from netadapt.pruning import PrunableModel

OLD = Path(__file__).resolve().parents[1] / "fixtures" / "bundle-results-format1.json"


def test_old_results_become_a_table_that_predicts(small: PrunableModel, tmp_path: Path) -> None:
    table, report = import_results(OLD, tmp_path, Stages())
    assert report.added == len(table.rows) > 0
    assert table.target.runtime_version == "1.32.0"
    assert LatencyPredictor(small, table)({}) > 0
