"""Another machine, over ssh."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError
from torch import nn

from netadapt.deployment.deployed import DeployedNetwork
from netadapt.errors import UserError
from netadapt.latency.fusion import rules_of
from netadapt.latency.target import Options, Target, Text
from netadapt.profiling.agent.job import INPUT_FILE
from netadapt.profiling.agent.precision import problem
from netadapt.profiling.agent.timing import Timing
from netadapt.profiling.agent_file import agent_archive, agent_name, archive
from netadapt.profiling.devices.base import Bench, Device
from netadapt.profiling.devices.connection import (
    Address,
    Connection,
    DroppedError,
    FailedError,
    remote_python,
)
from netadapt.profiling.devices.remote import (
    Board,
    Files,
    Record,
    RemoteBench,
    identity,
    job_of,
    require_board_runtime,
    time_whole,
    whole_stage,
)
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.runtimes.base import Runtime
from netadapt.profiling.shared_weights import Graphs, input_file, named
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel
from netadapt.pruning.blocks import same_blocks
from netadapt.pruning.examples import Example, arrays

FOLDER = ".cache/netadapt"  # in the home of the user over there
INSTALL = (
    f"umask 077 && mkdir -p {FOLDER} && cat > {FOLDER}/{{name}}.part && "
    f"mv {FOLDER}/{{name}}.part {FOLDER}/{{name}}"
)
REMOVE = f"rm -r -f {FOLDER}/{{name}}"
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before trying a lost connection again
RUNS_A_VISIT = 5
NO_COMMAND = 127

log = logging.getLogger(__name__)


class Description(BaseModel):
    """What an agent says of its machine."""

    hardware: Text
    system: Text
    clock: dict[Text, Text]
    cores: Annotated[list[int], Field(min_length=1, max_length=1 << 16)]
    features: Annotated[list[Text], Field(max_length=100)]
    runtime_version: Text


class SshDevice(Device):
    """A machine that ``ssh://user@host[:port]`` reaches, with Python and the runtime's wheel."""

    pauses: Sequence[float] = PAUSES

    def __init__(self, url: str) -> None:
        self._url = url
        self._address = Address.parse(url)

    def target(self, runtime: Runtime, options: Options | None = None) -> Target:
        """Describe that machine with ``runtime`` as a target, in one connection.

        Raises:
            UserError: it cannot be reached, lacks the runtime, or cannot do what is asked.
        """
        options = options or Options()
        require_board_runtime(runtime)
        options.require_for(runtime.name)
        found = self._agent().describe(runtime.name)
        reason = problem(runtime.name, options.precision, found.features)
        if reason:
            raise UserError(f"{self._address}: {reason}")
        options.check(set(found.cores))
        return Target(
            device=self._url,
            hardware=found.hardware,
            system=found.system,
            runtime=runtime.name,
            runtime_version=found.runtime_version,
            clock=found.clock,
            fusion=rules_of(runtime.name, options.precision),
            **options.model_dump(),
        )

    @contextmanager
    def bench(self, prunable: PrunableModel, target: Target) -> Iterator[Bench]:
        """Bring the network's weights there; its folder is removed once all went well."""
        last = target.fusion_rules.upsampling_last
        graphs = Graphs(prunable, target.precision, upsampling_last=last)
        with self._board(target, graphs.full, graphs.common_files) as board:
            board.bring(graphs.common_files)
            yield RemoteBench(graphs, board, target.runtime, target)

    def time(
        self,
        models: Sequence[nn.Module],
        example_input: Example,
        target: Target,
        runs: int,
        traced: PrunableModel | None,
    ) -> Timing:
        """Time any networks whole, with their own weights, in interleaved rounds."""

        def template_of(model: nn.Module, traced: PrunableModel | None = None) -> OnnxTemplate:
            network = TracedNetwork.recorded(model, example_input, traced)
            last = target.fusion_rules.upsampling_last
            return OnnxTemplate(network, target.precision, upsampling_last=last)

        def graph_of(model: nn.Module) -> bytes:
            if isinstance(model, DeployedNetwork):
                model.require_input(example_input)
                return model.path.read_bytes()
            alike = traced is not None and same_blocks(model, traced.model)
            template = shared if shared and alike else template_of(model)
            graph = template.filled(model)
            data: bytes = graph.SerializeToString(deterministic=True)
            return data

        shared = template_of(traced.model, traced) if traced else None
        files: Files = {INPUT_FILE: input_file(arrays(example_input))}
        graphs = []
        for model in models:
            name, content = named(graph_of(model))
            files[name] = content
            graphs.append(name)
        stage = whole_stage(graphs, max(1, runs // RUNS_A_VISIT), RUNS_A_VISIT)
        job = job_of(target.runtime, target, 0, [stage])
        with self._board(target, stage["key"], {}) as board:
            return time_whole(board, files, stage, job)

    @contextmanager
    def _board(self, target: Target, subject: str, files: Files) -> Iterator["SshBoard"]:
        """A board folder that the same subject finds again; removed once all went well."""
        options = {name: getattr(target, name) for name in Options.model_fields}
        example = files.get(INPUT_FILE, b"")
        folder = identity(
            agent_name(), target.hardware, target.runtime_version, options, subject, example
        )
        board = SshBoard(self._agent(), folder, self.pauses)
        yield board
        board.remove()

    def _agent(self) -> "RemoteAgent":
        return RemoteAgent(Connection(self._address), self._address)


class RemoteAgent:
    """The agent's file on the other machine, put there when it is missing."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.connection = connection
        self.address = address
        self._start = [remote_python(), f"{FOLDER}/{agent_name()}"]

    def describe(self, runtime: str) -> Description:
        """Ask what the machine is. Raises ``UserError`` if it does not answer."""
        try:
            answer = self.call("describe", "--runtime", runtime)
        except DroppedError as error:
            raise UserError(self._unreachable(str(error))) from None
        try:
            return Description.model_validate_json(answer)
        except ValidationError:
            raise UserError(f"{self.address} did not answer as netadapt's agent does") from None

    def call(self, *words: str, stdin: bytes = b"") -> str:
        """Run a command. Raises ``DroppedError``, or ``UserError`` if the agent fails."""
        try:
            try:
                return self.connection.words([*self._start, *words], stdin)
            except FailedError as error:
                if "can't open file" not in str(error):
                    raise
            self.connection.script(INSTALL.format(name=agent_name()), agent_archive())
            return self.connection.words([*self._start, *words], stdin)
        except FailedError as error:
            raise self._failure(error) from None

    def records(self, *words: str, stdin: bytes = b"") -> Iterator[Record]:
        """Run a command of the agent and yield what it tells. Raises as ``call`` does."""
        try:
            for line in self.connection.lines([*self._start, *words], stdin):
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                if not isinstance(record, dict):
                    raise UserError(f"{self.address} did not answer as netadapt's agent does")
                yield record
        except FailedError as error:
            raise self._failure(error) from None

    def _failure(self, error: FailedError) -> UserError:
        if error.code == NO_COMMAND:
            return UserError(
                f"{self.address} has no {self._start[0]}; name its Python with $NETADAPT_SSH_PYTHON"
            )
        return UserError(f"{self.address}: {error}")

    def _unreachable(self, reason: str) -> str:
        message = f"cannot reach {self.address}: {reason}"
        if "Host key verification failed" in reason:
            message += "; its host key is unknown or has changed: connect once with ssh and check"
        return message


class SshBoard(Board):
    """A folder on the other machine, where jobs survive a lost connection."""

    def __init__(self, agent: RemoteAgent, name: str, pauses: Sequence[float]) -> None:
        self._agent = agent
        self._name = name
        self._folder = f"{FOLDER}/{name}"
        self._pauses = pauses

    def bring(self, files: Files) -> None:
        """Put files into the folder. Raises ``UserError`` as ``run`` does."""
        patience = _Patience(self._agent.address, self._pauses)
        parcel = archive(files)
        while True:
            try:
                self._agent.call("receive", self._folder, stdin=parcel)
                return
            except DroppedError as error:
                patience.wait(error)

    def run(self, files: Files) -> Iterator[Record]:
        """Bring a job there and yield its records; after a lost connection, some again.

        Raises:
            UserError: the connection is lost for good, or the agent gives up.
        """
        patience = _Patience(self._agent.address, self._pauses)
        parcel = archive(files)
        most = 0
        while True:
            try:
                records = self._agent.records("run", self._folder, "--receive", stdin=parcel)
                for count, record in enumerate(records, start=1):
                    if "done" in record:
                        return
                    if count > most:
                        most = count
                        patience.renew()
                    yield record
                raise DroppedError("it ended early")
            except DroppedError as error:
                patience.wait(error)

    def remove(self) -> None:
        """Remove the folder, if the machine can still be reached."""
        try:
            self._agent.connection.script(REMOVE.format(name=self._name))
        except (DroppedError, FailedError) as error:
            log.warning("%s/%s is left on %s: %s", FOLDER, self._name, self._agent.address, error)


class _Patience:
    """Pauses before each new attempt, and gives up after the last."""

    def __init__(self, address: Address, pauses: Sequence[float]) -> None:
        self._address = address
        self._pauses = pauses
        self._left = iter(pauses)

    def renew(self) -> None:
        """There was progress."""
        self._left = iter(self._pauses)

    def wait(self, error: DroppedError) -> None:
        pause = next(self._left, None)
        if pause is None:
            raise UserError(
                f"lost the connection to {self._address}: {error}; what was measured is kept: "
                "run the same command again to go on"
            ) from None
        log.warning(
            "lost the connection to %s (%s); trying again in %g s", self._address, error, pause
        )
        time.sleep(pause)
