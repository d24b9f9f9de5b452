from netadapt.viz.front import plot_front
from netadapt.viz.report import plot_runs, save_figure
from netadapt.viz.runs import RunView, read_run
from netadapt.viz.samples import (
    Samples,
    colour_depth,
    plot_predictions,
    plot_samples,
    read_samples,
)
from netadapt.viz.tables import plot_table
from netadapt.viz.validation import plot_validation
from netadapt.viz.widths import plot_widths

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
