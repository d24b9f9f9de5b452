/* The walk over iterations, what the clock said, and how good the table is. */

let iterationShown = null;

function walkSection() {
  const node = el("div", { class: "chart", id: "walk-chart", style: { height: "430px" } });
  const detail = el("div");
  const slider = el("input", { type: "range", id: "iteration", min: "1", step: "1", "aria-label": "Iteration" });
  const draw = () => {
    const run = RUNS[pinned.runIndex];
    slider.max = String(Math.max(run.walk.length, 1));
    const p = pinnedPoint();
    iterationShown = Math.min(Math.max(p.iteration, 1), Math.max(run.walk.length, 1));
    slider.value = String(iterationShown);
    chart(node, () => walkChart(run, pinned.runIndex), (event) => { const place = clicked(event); if (place) pin(...place); });
    show();
  };
  const show = () => detail.replaceChildren(...iterationDetail(RUNS[pinned.runIndex], pinned.runIndex, iterationShown));
  slider.addEventListener("input", () => { iterationShown = Number(slider.value); show(); });
  draw();
  follow(draw);
  return section("walk", "The walk", "Every candidate of every iteration, and the one the walk went on with.", node,
    legend([["line", "predicted", "picked"], ["dot", "dominated", "not picked"], ["dash", "soft", "latency target of the iteration"], ["ring", "mark", "pinned"]]),
    el("div", { class: "controls screen" }, el("label", { class: "wide" }, el("span", {}, "Iteration"), slider)), detail);
}

function walkChart(run, runIndex) {
  const all = places(run).map((at) => point(runIndex, at)).filter((p) => known(p.holdout) && p.stage !== "long");
  const walk = all.filter((p) => p.selected || p.stage === "base").sort((a, b) => a.iteration - b.iteration);
  const values = walk.map((p) => p.holdout);
  const room = Math.max(Math.max(...values) - Math.min(...values), 1e-3);
  const range = run.score.higher ? [Math.max(Math.min(...all.map((p) => p.holdout)), Math.min(...values) - 1.2 * room) - 0.06 * room, Math.max(...all.map((p) => p.holdout)) + 0.1 * room]
    : [Math.min(...all.map((p) => p.holdout)) - 0.1 * room, Math.min(Math.max(...all.map((p) => p.holdout)), Math.max(...values) + 1.2 * room) + 0.06 * room];
  const targets = run.walk.filter((one) => known(one.target_ms));
  const here = pinnedPoint();
  const at = (points, more) => trace(points, (p) => p.iteration, more);
  const traces = [
    at(all.filter((p) => !p.selected && p.stage !== "base"), { marker: { color: colour("dominated"), size: 6, opacity: 0.75 } }),
    at(walk, { mode: "lines+markers", line: { color: colour("predicted"), width: 2 }, marker: { color: colour("predicted"), size: 8 } }),
    at(walk, { mode: "lines+markers", yaxis: "y2", y: walk.map((p) => p.predicted), line: { color: colour("predicted"), width: 2 }, marker: { color: colour("predicted"), size: 6 } }),
    { type: "scatter", mode: "lines", yaxis: "y2", x: targets.map((one) => one.number), y: targets.map((one) => one.target_ms), hoverinfo: "skip",
      line: { color: colour("soft"), width: 1.4, dash: "dash" } },
  ];
  if (here.stage !== "long") {
    traces.push({ type: "scatter", mode: "markers", x: [here.iteration], y: [here.holdout], hoverinfo: "skip",
      marker: { symbol: "circle-open", size: 19, color: colour("mark"), line: { width: 2 } } });
  }
  return { traces, layout: { margin: { l: 58, r: 16, t: 14, b: 46 }, uirevision: run.path,
    xaxis: axis("iteration (0: base network)", { anchor: "y2", range: [-0.5, run.walk.length + 0.5], nticks: 16, tickangle: 0 }),
    yaxis: axis(scoreName(run, "holdout"), { domain: [0.4, 1], range }),
    yaxis2: axis("predicted, ms", { domain: [0, 0.3], rangemode: "tozero" }) } };
}

function iterationDetail(run, runIndex, number) {
  const one = run.walk.find((walk) => walk.number === number);
  if (!one) return [el("p", { class: "soft" }, "The walk has no iterations yet.")];
  const rows = one.proposals.map((name) => {
    const at = placeOf(run, name);
    return { name, at, p: at === null ? null : point(runIndex, at), failure: run.candidates.failures[name] || null };
  });
  const said = [`Iteration ${one.number}: ${counted(one.proposals.length, "candidate")}`];
  if (known(one.target_ms)) said.push(`target ${ms(one.target_ms)}`);
  if (one.waiting) said.push(`${one.waiting} not scored yet`);
  const status = (row) => (row.name === one.picked ? "picked" : row.failure ? `failed: ${row.failure}` : !row.p ? "not in the tables" : "");
  const columns = [
    { label: "Candidate", class: "name", value: (row) => row.name, cell: (row) => (row.p ? el("button", { type: "button", class: "link", onclick: () => pin(runIndex, row.at) }, row.name) : row.name) },
    { label: "Predicted, ms", number: true, value: (row) => row.p && row.p.predicted, cell: (row) => fixed(row.p && row.p.predicted, 3) },
    { label: scoreName(run, "holdout"), number: true, value: (row) => row.p && row.p.holdout, cell: (row) => fixed(row.p && row.p.holdout, 4) },
    { label: "MACs", number: true, value: (row) => row.p && row.p.macs, cell: (row) => count(row.p && row.p.macs) },
    { label: "Note", cell: (row) => [status(row), run.candidates.retries[row.name] ? ` (started again ${run.candidates.retries[row.name]}×)` : ""] },
  ];
  return [el("p", { class: "lead" }, `${said.join(", ")}. ${run.rule}`),
    sortable(`Candidates of iteration ${one.number}`, columns, rows, { column: 2, down: run.score.higher, on: (row) => row.name === one.picked })];
}

function clockSection() {
  const body = el("div");
  const fill = () => body.replaceChildren(...clockOf(RUNS[pinned.runIndex], pinned.runIndex));
  fill();
  follow(fill);
  return section("clock", "Anchor and drift", null, body);
}

function clockOf(run, runIndex) {
  const timed = places(run).map((at) => point(runIndex, at)).filter((p) => known(p.measured)).sort((a, b) => a.measured - b.measured);
  const parts = [];
  if (run.anchors.length) {
    const node = el("div", { class: "chart", style: { height: "280px" } });
    requestAnimationFrame(() => chart(node, () => anchorChart(run)));
    parts.push(el("p", { class: "lead" }, "The walk measured its current network and corrected the table's prediction by what the clock said."), node,
      legend([["line", "predicted", "measured against its prediction"], ["line", "measured", "base network against its first measurement"]]));
  } else {
    parts.push(el("p", { class: "lead" }, timed.length ? "This walk was not anchored: it followed the table, and its points were measured after it."
      : "Nothing was measured: latencies are the table's predictions."));
  }
  const { ended, base_ms_at_start: start, base_ms_at_end: end } = run.summary;
  if (typeof ended === "string") parts.push(el("p", { class: "lead" }, `How it ended: ${ended}.`.replace(/\.\.$/, ".")));
  if (typeof start === "number" && typeof end === "number") {
    parts.push(el("p", { class: "lead" }, `The base took ${ms(start)} at the start and ${ms(end)} at the end (${(100 * (end / start - 1)).toFixed(1)} %).`));
  }
  if (timed.length) {
    const columns = [
      { label: "Network", class: "name", value: (p) => p.name, cell: (p) => el("button", { type: "button", class: "link", onclick: () => pin(runIndex, p.at) }, p.name) },
      { label: "Predicted, ms", number: true, value: (p) => p.predicted, cell: (p) => fixed(p.predicted, 3) },
      { label: "Measured, ms", number: true, value: (p) => p.measured, cell: (p) => fixed(p.measured, 3) },
      { label: "too high by", number: true, value: (p) => p.predicted / p.measured, cell: (p) => `${(100 * (p.predicted / p.measured - 1) || 0).toFixed(1).replace(/^-0\.0$/, "0.0")} %` },
    ];
    parts.push(sortable("Networks that were measured", columns, timed, { column: 2 }));
  }
  return parts;
}

function anchorChart(run) {
  const xs = run.anchors.map((one) => one.iteration);
  const timed = run.anchors;
  const line = (x, y, name) => ({ type: "scatter", mode: "lines+markers", x, y, line: { color: colour(name), width: 2 }, marker: { color: colour(name), size: 7 },
    hovertemplate: "iteration %{x}: %{y:.1f} %<extra></extra>" });
  return { traces: [line(xs, run.anchors.map((one) => 100 * (one.measured_ms / one.predicted_ms - 1)), "predicted"),
    line(timed.map((one) => one.iteration), timed.map((one) => 100 * (one.base_ms / timed[0].base_ms - 1)), "measured")],
    layout: { xaxis: axis("iteration"), yaxis: axis("change, %", { zeroline: true, zerolinecolor: colour("soft") }) } };
}

/* Predicted against measured of the networks that a table was validated with. */
function qualityParts(quality) {
  const node = el("div", { class: "chart", style: { height: "330px" } });
  requestAnimationFrame(() => chart(node, () => {
    const error = quality.measured.map((measured, i) => 100 * (quality.predicted[i] / measured - 1));
    const noise = quality.measured.map((measured, i) => (known(quality.repeat[i]) ? 100 * (quality.repeat[i] / measured - 1) : null));
    const dots = (y, marker, word) => ({ type: "scatter", mode: "markers", x: quality.measured, y, marker,
      hovertemplate: `measured %{x:.3f} ms<br>${word} %{y:.1f} %<extra></extra>` });
    return { traces: [dots(noise, { symbol: "x-thin-open", color: colour("measured"), size: 7 }, "timed again:"),
      dots(error, { color: colour("predicted"), size: 8, line: { color: colour("card"), width: 1 } }, "prediction too high by")],
      layout: { margin: { l: 58, r: 14, t: 14, b: 46 }, xaxis: axis("measured latency of the network, ms"), yaxis: axis("too high by, %", { zeroline: true, zerolinecolor: colour("soft") }),
        shapes: [{ type: "rect", xref: "paper", x0: 0, x1: 1, y0: -5, y1: 5, fillcolor: colour("band"), line: { width: 0 }, layer: "below" }] } };
  }));
  const energy = known(quality.energy_mape) ? ` The energy of a run: mean absolute error ${quality.energy_mape.toFixed(1)} %.` : "";
  const repeat = known(quality.repeat_percent) ? ` Timed twice, nine of ten differ by at most ${quality.repeat_percent.toFixed(1)} %.` : "";
  return [el("p", { class: "lead" }, `${quality.measured.length} networks at random widths: mean absolute error ${quality.mape.toFixed(1)} %, ${quality.within_5.toFixed(0)} % of them within ±5 % (the band).${repeat}${energy}`),
    node, legend([["dot", "predicted", "prediction against the clock"], ["cross", "measured", "the same network timed again"]])];
}

function qualitySection() {
  const body = el("div");
  let shown = null;
  const fill = () => {
    const run = RUNS[pinned.runIndex];
    if (shown === run) return;
    shown = run;
    body.replaceChildren(...(run.quality ? qualityParts(run.quality) : [el("p", { class: "soft" }, "The run's latency table, or its validation.csv, is not here.")]));
  };
  fill();
  follow(fill);
  return section("quality", "How good the table is", null, body);
}
