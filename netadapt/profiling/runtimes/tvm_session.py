"""TVM sessions: an ONNX model through Relax to LLVM, for the processor at hand."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

# read when TVM's thread pool starts: the pool may use every core (a session takes as many as it is
# given), leaves the affinity of the process alone, and does not spin after a run
os.environ["TVM_NUM_THREADS"] = str(os.cpu_count() or 1)
os.environ["TVM_BIND_THREADS"] = "0"
os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "0")

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import onnx_frontend

from netadapt.profiling.agent.session import ProfiledSession, Session, inputs_of
from netadapt.profiling.runtimes.tvm_graph import operations_of, plain
from netadapt.profiling.runtimes.tvm_tuning import tuned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netadapt.profiling.agent.session import Example

BIG_CORES = 1  # the affinity mode of TVM's thread pool; without binding it pins nothing
OPAQUE = 8  # the pattern of functions that are not fused
UNFUSED = ("concatenate", "pad")  # if fused, they would become part of a neighbour


def version() -> str:
    """The installed version."""
    return str(tvm.__version__)


def _use_threads(threads: int) -> None:
    tvm.get_global_func("runtime.config_threadpool")(BIG_CORES, threads)
    used = tvm.get_global_func("runtime.NumThreads")()
    if used != threads:
        raise RuntimeError(f"TVM's thread pool has {used} threads, not the {threads} asked for")


class TvmSession(Session):
    """An ONNX model, by its bytes or the path of its file, ready to run on ``example``.

    Args:
        model: nodes are named ``netadapt_opN``.
        example: the input, or several in order.
        threads: size of TVM's thread pool, which all sessions of a process share.
        tune: number of schedules to try for each kernel; 0 takes TVM's default schedules.
    """

    def __init__(self, model: bytes | str, example: Example, threads: int, tune: int = 0) -> None:
        _use_threads(threads)
        proto = onnx.load(model) if isinstance(model, str) else onnx.load_from_string(model)
        self._vm: Any = relax.VirtualMachine(_compiled(proto, threads, tune), tvm.cpu())
        self._main: Any = self._vm["main"]
        self._inputs = [tvm.runtime.tensor(array) for array in inputs_of(example)]
        self._threads = threads

    def run(self) -> None:
        """Run the network once."""
        self._run()

    def _run(self) -> Any:
        assert self._main is not None, "the session is closed"
        _use_threads(self._threads)
        return self._main(*self._inputs)

    def timed(self) -> float:
        """Run once; return how many seconds it took."""
        assert self._main is not None, "the session is closed"
        _use_threads(self._threads)
        start = time.perf_counter()
        self._main(*self._inputs)
        return time.perf_counter() - start

    def output(self) -> NDArray[Any]:
        """Run the network once and return its first output."""
        result = self._run()
        first: NDArray[Any] = (result if hasattr(result, "numpy") else result[0]).numpy()
        return first

    def close(self) -> None:
        """Free the network."""
        self._vm = self._main = None


class ProfiledTvmSession(TvmSession, ProfiledSession):
    """A session that times each kernel through the virtual machine's instrument.

    The time of a kernel is given to the last operation that it carries out.
    """

    def __init__(
        self,
        model: bytes | str,
        example: Example,
        threads: int,
        tune: int = 0,
        *,
        operations: int,
    ) -> None:
        super().__init__(model, example, threads, tune)
        self._operations = operations
        self._events: list[tuple[str, float]] = []
        self._runs: list[NDArray[np.float64]] = []
        events, clock = self._events, time.perf_counter

        def note(_function: Any, name: str, _before: bool, _result: Any, *_arguments: Any) -> int:
            events.append((name, clock()))
            return 0

        self._vm.set_instrument(note)

    def run(self) -> None:
        """Run the network once, noting when each kernel starts and ends."""
        self._events.clear()
        self._run()
        self._note()

    def timed(self) -> float:
        """Run once; return how many seconds the kernels took."""
        self.run()
        return float(self._runs[-1].sum()) / 1e6

    def _note(self) -> None:
        microseconds = np.zeros(self._operations)
        for operations, seconds in self._kernels():
            microseconds[operations[-1]] += seconds * 1e6
        self._runs.append(microseconds)

    def _kernels(self) -> Iterator[tuple[tuple[int, ...], float]]:
        for (name, start), (_, end) in zip(self._events[::2], self._events[1::2], strict=True):
            operations = operations_of(name)
            if operations:
                yield operations, end - start

    def kernels(self) -> list[tuple[int, ...]]:
        """Return, for each kernel in order of execution, the operations it carries out."""
        self._events.clear()
        self._run()
        return [operations for operations, _ in self._kernels()]

    def operation_us(self) -> NDArray[np.float64]:
        """Close the session and return ``(runs, operations)`` microseconds."""
        self.close()
        return np.stack(self._runs)


class _NamingImporter(onnx_frontend.ONNXGraphImporter):  # type: ignore[misc]
    """Names the variable that holds a node's output after the node."""

    def _convert_operator(
        self, op_name: str, inputs: Any, attrs: dict[str, Any], opset: int
    ) -> Any:
        name = attrs["tvm_custom"]["name"]
        if op_name == "Clip":  # TVM's own conversion reads the data twice, to keep NaNs
            low, high = (tvm.tirx.FloatImm("float32", attrs[bound]) for bound in ("min", "max"))
            result = self.bb.normalize(relax.op.clip(inputs[0], low, high))
        else:
            result = super()._convert_operator(op_name, inputs, attrs, opset)
        if isinstance(result, relax.Call) and operations_of(name):
            return self.bb.emit(result, name_hint=name + "x")  # the builder may append digits
        return result


@relax.expr_functor.mutator
class _NamedKernels(relax.PyExprMutator):  # type: ignore[misc]
    """Puts every operation into its own function, named after it, to recognise its kernel."""

    def __init__(self, module: Any, last: str) -> None:
        super().__init__(module)
        self._module = module
        self._last = last
        self._names: dict[Any, str] = {}

    def renamed(self) -> Any:
        """Return the module with its functions named."""
        waiting: list[Any] = []
        for block in self._module["main"].body.blocks:
            for binding in block.bindings:
                waiting.append(binding.var)
                if operations_of(binding.var.name):
                    self._names.update((var, binding.var.name) for var in waiting)
                    waiting.clear()
        self._names.update((var, self._last) for var in waiting)  # TVM names the output itself
        main = self.visit_expr(self._module["main"])
        self.builder_.update_func(self._module.get_global_var("main"), main)
        return relax.transform.DeadCodeElimination(["main"])(self.builder_.get())

    def visit_var_binding_(self, binding: Any) -> None:
        value, name = binding.value, self._names.get(binding.var)
        if name and isinstance(value, relax.Call) and value.op == _CALL_TIR:
            own = self._module[value.args[0]].with_attr("netadapt", name)
            function = self.builder_.add_func(own, name)
            call = relax.Call(value.op, [function, *value.args[1:]], value.attrs, value.ty_args)
            binding = relax.VarBinding(binding.var, call)
        super().visit_var_binding_(binding)


_CALL_TIR = tvm.ir.Op.get("relax.call_tir")


def _compiled(proto: Any, threads: int, tune: int) -> Any:
    transform = relax.transform
    importer = _NamingImporter({}, "float32")
    proto = plain(proto)
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    output = proto.graph.output[0].name
    last = next(node.name for node in proto.graph.node if output in node.output)
    module = importer.from_onnx(proto.graph, opset)
    target = _target(threads)
    with target:
        module = tvm.transform.Sequential(
            [
                transform.DecomposeOpsForInference(),
                transform.CanonicalizeBindings(),
                transform.LegalizeOps(),
                transform.FoldConstant(),
                transform.AnnotateTIROpPattern(),
            ]
        )(module)
        for name, function in list(module.functions.items()):
            if name.name_hint.startswith(UNFUSED):
                module.update_func(name, function.with_attr("op_pattern", OPAQUE))
        module = _NamedKernels(module, last + "x").renamed()
        module = tvm.transform.Sequential([transform.FuseOps(), transform.FuseTIR()])(module)
        for name, function in list(module.functions.items()):
            if isinstance(function, tvm.tirx.PrimFunc):
                module.update_func(name, function.without_attr("netadapt"))
        if tune:
            module = tuned(module, target, tune)
        return tvm.compile(module, target=target)


def _target(threads: int) -> Any:
    """This machine's processor, with all its vector instructions."""
    cpu = tvm.get_global_func("target.llvm_get_system_cpu")()
    return tvm.target.Target({"kind": "llvm", "mcpu": str(cpu), "num-cores": threads})
