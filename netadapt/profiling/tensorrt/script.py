"""The shell script that measures a bundle of ONNX files with ``trtexec``."""

import json
import shlex
from collections.abc import Mapping, Sequence

from netadapt.errors import UserError
from netadapt.latency.target import Options
from netadapt.profiling.schedule import ProfileSchedule

FORMAT = "tensorrt-1"
# int8 without calibration: trtexec sets ranges of its own, which do not change the time
PRECISION_FLAGS = {
    "fp32": "--noTF32",
    "fp16": "--fp16",
    "bf16": "--bf16",
    "int8": "--int8 --fp16",
}
PROFILED_RUNS = 30  # of each trtexec call that times layers; it reports their average
WARMUP_MS = 200

SCRIPT = """\
#!/bin/sh
# Times the networks beside it with trtexec (TensorRT 8.6 or newer). Written by netadapt.
# Interrupted and started again, it goes on. TRTEXEC=/path/to/trtexec names another trtexec.
set -eu
cd -- "$(dirname -- "$0")"
RESULTS={results}
if [ -e "$RESULTS" ]; then
    echo "measured before; remove it to measure again:" >&2
    echo "$RESULTS"
    exit 0
fi
TRTEXEC=${{TRTEXEC:-$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)}}
if [ ! -x "$TRTEXEC" ]; then
    echo "error: no trtexec at $TRTEXEC; run: TRTEXEC=/path/to/trtexec sh run.sh" >&2
    exit 2
fi
mkdir -p work

trt() {{
    if ! "$TRTEXEC" "$@" >work/log.txt 2>&1 </dev/null; then
        echo "error: trtexec failed; its messages are in $(pwd)/work/log.txt" >&2
        exit 2
    fi
    if [ ! -e work/version ]; then
        sed -n 's/.*\\[TensorRT v\\([0-9][0-9]*\\)\\].*/\\1/p' work/log.txt |
            head -n 1 >work/version
        if [ ! -s work/version ]; then echo unknown >work/version; fi
    fi
}}

built=0
for graph in $(cat graphs.txt); do
    if [ ! -s "work/$graph.engine" ]; then
        trt --onnx="$graph" --saveEngine="work/engine.part" {precision} \\
            --profilingVerbosity=detailed --timingCacheFile=work/timing.cache --skipInference
        mv work/engine.part "work/$graph.engine"
    fi
    built=$((built + 1))
    echo "$built/{graphs} engines built" >&2
done

round=0
while [ "$round" -lt {rounds} ]; do
    for graph in $(cat design.txt); do
        if [ ! -s "work/$graph.profile.$round" ]; then
            trt --loadEngine="work/$graph.engine" --profilingVerbosity=detailed \\
                --dumpProfile --separateProfileRun --exportProfile=work/profile.part \\
                --exportLayerInfo="work/$graph.layers" --noDataTransfers --useSpinWait \\
                --warmUp={warmup} --duration=0 --iterations={profiled_runs}
            mv work/profile.part "work/$graph.profile.$round"
        fi
    done
    round=$((round + 1))
    echo "$round/{rounds} rounds over the layers of {design} networks" >&2
done

round=0
while [ "$round" -lt {whole_rounds} ]; do
    for graph in $(cat whole.txt); do
        if [ ! -s "work/$graph.times.$round" ]; then
            trt --loadEngine="work/$graph.engine" --exportTimes=work/times.part \\
                --noDataTransfers --useSpinWait \\
                --warmUp={warmup} --duration=0 --iterations={whole_runs}
            mv work/times.part "work/$graph.times.$round"
        fi
    done
    round=$((round + 1))
    echo "$round/{whole_rounds} rounds over {whole} whole networks" >&2
done

plain() {{ tr -d '\\000' | tr -c 'A-Za-z0-9 ._()@-' ' ' | sed 's/  */ /g; s/^ //; s/ $//'; }}
hardware() {{
    if [ -r /proc/device-tree/model ]; then
        cat /proc/device-tree/model
    else
        nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1
    fi
    printf ' '
}}
rounds_of() {{ # KIND ROUNDS GRAPH: its files as a list
    round=0
    printf '['
    while [ "$round" -lt "$2" ]; do
        if [ "$round" -gt 0 ]; then printf ','; fi
        cat "work/$3.$1.$round"
        round=$((round + 1))
    done
    printf ']'
}}
{{
    printf '{{"format": "{format}", "hardware": "%s", ' "$(hardware | plain | grep . || echo GPU)"
    printf '"system": "%s", "version": "%s", ' "$(uname -sm | plain)" "$(cat work/version)"
    printf '"date": "%s", "manifest": ' "$(date +%Y-%m-%d)"
    cat manifest.json
    printf ', "graphs": '
    cat graphs.json
    printf ', "layers": {{'
    comma=
    for graph in $(cat design.txt); do
        printf '%s"%s": ' "$comma" "$graph"
        cat "work/$graph.layers"
        comma=,
    done
    printf '}}, "profiles": {{'
    comma=
    for graph in $(cat design.txt); do
        printf '%s"%s": ' "$comma" "$graph"
        rounds_of profile {rounds} "$graph"
        comma=,
    done
    printf '}}, "times": {{'
    comma=
    for graph in $(cat whole.txt); do
        printf '%s"%s": ' "$comma" "$graph"
        rounds_of times {whole_rounds} "$graph"
        comma=,
    done
    printf '}}}}\\n'
}} >work/results.part
mv work/results.part "$RESULTS"
echo "$RESULTS"
"""

README = """\
This folder is a latency profile that waits to be measured with TensorRT, by netadapt. Experimental.

On the device, with TensorRT 8.6 or newer:

    python3 -m zipfile -e {name} netadapt-tensorrt
    sh netadapt-tensorrt/run.sh

It leaves one file, netadapt-tensorrt/{results}. Then, where netadapt is installed:

    netadapt profile-lut --import {results}
"""


def require_options(options: Options) -> None:
    """Raise a ``UserError`` for what a GPU has not."""
    if options.precision not in PRECISION_FLAGS:
        known = ", ".join(PRECISION_FLAGS)
        raise UserError(f"--precision {options.precision} is not for tensorrt; known: {known}")
    for name, value, usual in (("threads", options.threads, 1), ("cpus", options.cpus, "")):
        if value != usual:
            raise UserError(f"--{name} {value} is for CPUs; tensorrt runs on a GPU")


def script_files(
    manifest: Mapping[str, object],
    design: Sequence[str],
    whole: Sequence[str],
    options: Options,
    schedule: ProfileSchedule,
    archive: str,
) -> dict[str, bytes]:
    """Return the files that measure ONNX files beside them.

    Args:
        manifest: what is asked, with its ``id``.
        design: the files of the networks timed layer by layer, in the manifest's order; names of
            letters, digits and dots.
        whole: the files of the networks timed whole, likewise.
        options: of the target.
        schedule: how often each is timed.
        archive: the name of the zip, for its ``README.txt``.
    """
    results = f"netadapt-results-{manifest['id']}.json"
    every = [list(dict.fromkeys(names)) for names in (design, whole, [*design, *whole])]
    script = SCRIPT.format(
        results=results,
        precision=PRECISION_FLAGS[options.precision],
        rounds=schedule.rounds,
        whole_rounds=2 * schedule.validation_rounds,
        whole_runs=schedule.validation_runs,
        profiled_runs=PROFILED_RUNS,
        warmup=WARMUP_MS,
        design=len(every[0]),
        whole=len(every[1]),
        graphs=len(every[2]),
        format=FORMAT,
    )
    files = {
        "run.sh": script,
        "README.txt": README.format(name=shlex.quote(archive), results=results),
        "manifest.json": json.dumps(manifest),
        "graphs.json": json.dumps({"design": list(design), "whole": list(whole)}),
    }
    for name, graphs in zip(("design.txt", "whole.txt", "graphs.txt"), every, strict=True):
        files[name] = "".join(f"{graph}\n" for graph in graphs)
    return {name: text.encode() for name, text in files.items()}
