"""The executors by name, imported when they are used."""

from netadapt.errors import UserError
from netadapt.search.base_network import BaseNetwork
from netadapt.search.evaluation import Evaluator
from netadapt.search.executors.base import Executor
from netadapt.search.executors.inline import InlineExecutor
from netadapt.search.networks import Networks
from netadapt.search.progress import SearchProgress


def open_executor(base: BaseNetwork, networks: Networks, progress: SearchProgress) -> Executor:
    """Return the executor that the settings ask for, ready to work.

    Raises:
        UserError: it is not installed, or its device or cluster is not there.
    """
    if base.settings.executor == "inline":
        return InlineExecutor(Evaluator(base, networks))
    try:
        from netadapt.search.executors.ray import open_ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError(
            "executor ray needs the package ray; run: pip install 'netadapt[ray]'"
        ) from error
    return open_ray(base, networks.folder, progress)
