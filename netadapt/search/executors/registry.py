"""The executors by name, imported when they are used."""

from netadapt.errors import UserError
from netadapt.search.evaluation import Evaluator
from netadapt.search.executors.base import Executor
from netadapt.search.executors.inline import InlineExecutor
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.progress import SearchProgress
from netadapt.training.device import compute_device


def open_executor(problem: Problem, networks: Networks, progress: SearchProgress) -> Executor:
    """Return the executor that the settings of ``problem`` ask for, ready to work.

    Raises:
        UserError: it is not installed, or its device or cluster is not there.
    """
    if problem.settings.executor == "inline":
        device = str(compute_device(problem.settings.device))
        return InlineExecutor(Evaluator(problem, networks, device))
    try:
        from netadapt.search.executors.ray import open_ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError(
            "executor ray needs the package ray; run: pip install 'netadapt[ray]'"
        ) from error
    return open_ray(problem, networks.folder, progress)
