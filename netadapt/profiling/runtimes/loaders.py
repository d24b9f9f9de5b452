"""How a runtime loads a network: built in PyTorch, or exported to a file."""

from torch import nn

from netadapt.deployment.deployed import DeployedNetwork
from netadapt.errors import UserError
from netadapt.latency.target import Target
from netadapt.profiling.agent.session import ProfiledSession, Session
from netadapt.profiling.runtimes.base import Loader, Runtime
from netadapt.profiling.runtimes.registry import load_runtime
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel
from netadapt.pruning.examples import Example


def loader_for(
    model: nn.Module, example_input: Example, target: Target, traced: PrunableModel | None = None
) -> Loader:
    """Return the loader of ``model``, and of networks pruned from it, for the target's runtime.

    Args:
        model: the network.
        example_input: ``(N, C, H, W)``.
        target: the target to load it for.
        traced: the trace of ``model``, if networks pruned from it are loaded too.

    Raises:
        UserError: the runtime cannot execute the network, or the file.
    """
    runtime = load_runtime(target.runtime)
    if isinstance(model, DeployedNetwork):
        model.require_input(example_input)
        return _FileLoader(model, runtime, example_input, target)
    return runtime.loader(TracedNetwork.recorded(model, example_input, traced), target)


def as_exported(model: nn.Module, target: Target) -> Target:
    """Return ``target`` with the precision of ``model``, if that is an exported file.

    Layers that an int8 file leaves in float run in fp32, as in the int8 tables.

    Raises:
        UserError: another precision was asked for.
    """
    if not isinstance(model, DeployedNetwork) or model.precision == "fp32":
        return target
    if target.precision not in ("fp32", model.precision):
        raise UserError(
            f"{model.path} is an {model.precision} file; "
            f"--precision {target.precision} is for fp32 files"
        )
    return target.model_copy(update={"precision": model.precision})


class _FileLoader(Loader):
    """Loads an exported file as it is."""

    def __init__(
        self, network: DeployedNetwork, runtime: Runtime, example_input: Example, target: Target
    ) -> None:
        self._network = network
        self._runtime = runtime
        self._example = example_input
        self._target = target

    def session(self, model: nn.Module) -> Session:
        return self._runtime.file_session(str(self._network.path), self._example, self._target)

    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        raise UserError(
            f"{self._network.path} is an exported file: its layers cannot be timed; "
            "give the checkpoint that it was exported from"
        )
