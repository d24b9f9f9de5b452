"""Processes that are forked from one that has already imported all that is slow to import."""

import multiprocessing

FORKED = multiprocessing.get_context("forkserver")
# installed modules alone: in Python 3.11 the server finds none in the folders of the tests
FORKED.set_forkserver_preload(
    [
        "netadapt.cli.main",
        "netadapt.search.start",
        "netadapt.training",
        "netadapt.profiling.profiler",
        "netadapt.depth.task",
        "netadapt.report",
        "netadapt.report.page",
        "torch._dynamo",
    ]
)
