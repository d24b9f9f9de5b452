from netadapt.report.front import plot_front
from netadapt.report.run_pictures import plot_runs, save_figure
from netadapt.report.runs import RunView, read_run
from netadapt.report.samples import (
    Samples,
    colour_depth,
    plot_predictions,
    plot_samples,
    read_samples,
)
from netadapt.report.table_picture import plot_table
from netadapt.report.validation import plot_validation
from netadapt.report.widths import plot_widths

__all__ = [
    "RunView",
    "Samples",
    "colour_depth",
    "plot_front",
    "plot_predictions",
    "plot_runs",
    "plot_samples",
    "plot_table",
    "plot_validation",
    "plot_widths",
    "read_run",
    "read_samples",
    "save_figure",
]
