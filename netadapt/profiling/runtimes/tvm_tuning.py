"""Schedules for TVM's kernels, found by trying some of MetaSchedule's search space.

The samples are drawn, compiled and timed in this process. TVM's own tuner needs psutil and
cloudpickle, and restarts its workers for every batch of trials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.schedule import Trace
from tvm_ffi import structural_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

REPEATS = 3

_found: dict[tuple[int, str, int], Any] = {}  # the same kernels recur within and between networks


def tuned(module: Any, target: Any, trials: int) -> Any:
    """Return ``module`` with the fastest of ``trials`` schedules for every kernel."""
    for name, function in list(module.functions.items()):
        if isinstance(function, tvm.tirx.PrimFunc):
            module.update_func(name, _fastest(function, target, trials))
    return module


def _fastest(function: Any, target: Any, trials: int) -> Any:
    plain = function.with_attr("global_symbol", "main")
    key = (structural_hash(plain), str(target), trials)
    if key not in _found:
        arguments = _arguments(plain)
        best, shortest = plain, _seconds(plain, target, arguments)
        for candidate in _samples(plain, target, trials):
            seconds = _seconds(candidate, target, arguments)
            if seconds < shortest:
                best, shortest = candidate, seconds
        _found[key] = best
    found = _found[key]
    symbol = (function.attrs or {}).get("global_symbol")
    return (
        found.with_attr("global_symbol", symbol) if symbol else found.without_attr("global_symbol")
    )


def _samples(function: Any, target: Any, trials: int) -> Iterator[Any]:
    """Draw schedules of ``function`` at random from what MetaSchedule's rules allow."""
    module = tvm.IRModule({"main": function})
    rules = ms.space_generator.PostOrderApply(sch_rules="llvm", postprocs=[], mutator_probs={})
    context = ms.TuneContext(
        mod=module, target=target, space_generator=rules, num_threads=1, rand_state=1
    )
    spaces = context.generate_design_space()
    finishers = ms.Postproc.create("llvm")
    for finisher in finishers:
        finisher._initialize_with_tune_context(context)
    for trial in range(trials):
        schedule = Schedule(module, seed=trial + 1)
        recipe = spaces[trial % len(spaces)].trace
        Trace(recipe.insts, {}).apply_to_schedule(schedule, remove_postproc=True)
        if all(finisher.apply(schedule) for finisher in finishers):
            yield schedule.mod["main"]


def _arguments(function: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    return [
        tvm.runtime.tensor(rng.random([int(size) for size in info.shape]).astype(str(info.dtype)))
        for info in ms.arg_info.ArgInfo.from_prim_func(function)
    ]


def _seconds(function: Any, target: Any, arguments: list[Any]) -> float:
    program = tvm.compile(tvm.IRModule({"main": function}), target=target).jit()
    clock = program.time_evaluator("main", tvm.cpu(), number=1, repeat=REPEATS)
    return float(np.median(clock(*arguments).results))
