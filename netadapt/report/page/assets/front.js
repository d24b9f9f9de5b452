/* The front: what was evaluated, what it costs, what the clock said; a click pins a point. */

function hoverText(p) {
  const cut = changed(p);
  const shown = cut.slice(0, 5).map((one) => `${plain(one.group)}: ${one.from} → ${one.to}`);
  if (cut.length > 5) shown.push(`and ${cut.length - 5} more groups`);
  const precision = p.run.table && p.run.table.facts.precision;
  const lines = [
    `<b>${plain(p.name)}</b>${SEVERAL ? ` of ${plain(p.run.name)}` : ""}`,
    `predicted ${ms(p.predicted)}${known(p.measured) ? `, measured ${ms(p.measured)}` : ""}`,
    `${plain(p.run.score.name)}: holdout ${score(p.holdout)}${known(p.test) ? `, test ${score(p.test)}` : ""}`,
    `${count(p.macs)} MACs, ${count(p.params)} parameters${precision ? `, ${plain(precision)}` : ""}`,
    cut.length ? `widths: ${shown.join("<br>")}` : "all widths as in the base",
  ];
  return lines.join("<br>");
}

/* Error bars: quantiles of the clock where the run has them, else what the table's validation says. */
function predictedBars(run, points) {
  if (!run.quality) return undefined;
  const xs = points.map((p) => (p.x === p.measured ? 0 : p.x)); /* what was measured has bars of its own */
  return { type: "data", symmetric: false, array: xs.map((x) => x * Math.max(run.quality.high - 1, 0)),
    arrayminus: xs.map((x) => x * Math.max(1 - run.quality.low, 0)), thickness: 1, width: 0, color: colour("predicted") };
}
function measuredBars(run, points) {
  const [low, high] = [run.candidates.measured_p10_ms, run.candidates.measured_p90_ms];
  const look = { type: "data", symmetric: false, thickness: 1.4, width: 4, color: colour("measured") };
  if (low && high) {
    return { ...look, array: points.map((p) => (high[p.at] ?? p.measured) - p.measured),
      arrayminus: points.map((p) => p.measured - (low[p.at] ?? p.measured)) };
  }
  if (!run.quality || !known(run.quality.repeat_percent)) return undefined;
  const around = points.map((p) => (p.measured * run.quality.repeat_percent) / 100);
  return { ...look, array: around, arrayminus: around };
}

function trace(points, x, more) {
  return { type: "scatter", mode: "markers", x: points.map(x), y: points.map((p) => p.holdout),
    customdata: points.map((p) => [p.runIndex, p.at]), text: points.map(hoverText),
    hovertemplate: "%{text}<extra></extra>", ...more };
}

function oneRun(runIndex) {
  const run = RUNS[runIndex];
  const all = places(run).map((at) => point(runIndex, at)).filter((p) => known(p.holdout));
  const front = frontOf(runIndex);
  const timed = all.filter((p) => known(p.measured));
  const rest = all.filter((p) => !p.front && !known(p.measured) && p.stage !== "base");
  const between = timed.flatMap((p) => [p.predicted, p.measured, null]);
  return [
    trace(rest, (p) => p.x, { name: "dominated", marker: { color: colour("dominated"), size: 6, opacity: 0.75 } }),
    trace(front, (p) => p.x, { name: "front", mode: "lines+markers", line: { shape: "hv", color: colour("predicted"), width: 2 },
      marker: { color: colour("predicted"), size: 8 }, error_x: predictedBars(run, front) }),
    { type: "scatter", mode: "lines", x: between, y: timed.flatMap((p) => [p.holdout, p.holdout, null]), hoverinfo: "skip",
      line: { color: colour("measured"), width: 1 } },
    trace(timed, (p) => p.measured, { name: "measured", marker: { color: colour("measured"), size: 10, symbol: "diamond",
      line: { color: colour("card"), width: 1 } }, error_x: measuredBars(run, timed) }),
    trace([baseOf(runIndex)], (p) => p.x, { name: "base", marker: { color: colour("mark"), size: 16, symbol: "star",
      opacity: 0.85, line: { color: colour("card"), width: 1 } } }),
  ];
}

function manyRuns() {
  return jointTraces().concat(RUNS.flatMap((run, index) => {
    const front = frontOf(index);
    return [
      trace(front, (p) => p.x, { name: run.name, mode: "lines+markers",
        line: { shape: "hv", color: series(index), width: 2, dash: DASHES[index % DASHES.length] },
        marker: { color: series(index), size: 9, symbol: SYMBOLS[index % SYMBOLS.length] } }),
      trace([baseOf(index)], (p) => p.x, { name: `base of ${run.name}`, marker: { color: series(index), size: 16,
        symbol: "star-open", line: { width: 1.6 } } }),
    ];
  }));
}

function rings() {
  return [[againstPoint(), "square-open", "B"], [pinnedPoint(), "circle-open", "A"]].map(([p, symbol, letter]) => ({
    type: "scatter", mode: "markers+text", x: [SEVERAL ? p.x : p.latency], y: [p.holdout], hoverinfo: "skip", text: [letter],
    textposition: "bottom center", textfont: { color: colour("ink"), size: 14 }, cliponaxis: false,
    marker: { symbol, size: 22, color: colour("mark"), line: { width: 2 } },
  }));
}

/* The view leaves out candidates that collapsed: they would flatten the front. */
function frontRange() {
  const shown = RUNS.flatMap((run, index) => places(run).map((at) => point(index, at)))
    .filter((p) => known(p.holdout) && (p.front || known(p.measured) || p.stage === "base"));
  const all = RUNS.flatMap((run) => run.candidates.holdout.filter(known));
  const [low, high] = [Math.min(...shown.map((p) => p.holdout)), Math.max(...shown.map((p) => p.holdout))];
  const room = Math.max(high - low, 1e-3);
  const higher = RUNS[0].score.higher;
  const bottom = higher ? Math.max(Math.min(...all), low - 0.9 * room) : low;
  const top = higher ? high : Math.min(Math.max(...all), high + 0.9 * room);
  const hidden = all.filter((value) => value < bottom || value > top).length;
  return { range: [bottom - 0.1 * room, top + 0.14 * room], hidden };
}

function frontSection() {
  const node = el("div", { class: "chart focus", id: "front-chart", tabindex: "0", role: "application",
    "aria-label": "Front of accuracy against latency. Left and right arrow keys pin the next point of the front"
      + (SEVERAL ? ", up and down arrow keys go to another run." : "."), style: { height: "min(560px, 92vw)", "min-height": "380px" } });
  const run = RUNS[0];
  const budgets = new Set(RUNS.map((one) => one.budget_ms));
  const budget = budgets.size === 1 || JOINT ? run.budget_ms : null;
  const { range, hidden } = frontRange();
  const targets = new Set(RUNS.map((one) => one.target));
  const onClick = (event) => {
    const place = clicked(event);
    if (!place) return;
    if (event.event && event.event.shiftKey && place[0] === pinned.runIndex) compareWith(place[1]);
    else pin(...place);
  };
  const draw = () => chart(node, () => ({
    traces: [...(SEVERAL ? manyRuns() : oneRun(0)), ...rings()],
    layout: {
      margin: { l: 58, r: 16, t: 30, b: 50 }, uirevision: "front",
      xaxis: axis(targets.size === 1 ? "latency, ms" : "latency, each run on its own target, ms"),
      yaxis: axis(scoreName(run, "holdout"), { range }),
      shapes: known(budget) ? [{ type: "line", x0: budget, x1: budget, yref: "paper", y0: 0, y1: 1,
        line: { color: colour("soft"), width: 1.5, dash: "dash" } }] : [],
      annotations: known(budget) ? [{ x: budget, yref: "paper", y: 1, yanchor: "bottom", showarrow: false,
        text: plain(run.goal), font: { size: 12.5, color: colour("soft") } }] : [],
    },
  }), onClick);
  draw();
  follow(draw);
  node.addEventListener("keydown", (event) => step(event));
  const reset = el("button", { type: "button", onclick: () => Plotly.relayout(node, { "xaxis.autorange": true, "yaxis.range": range }) }, "Reset zoom");
  const everything = el("button", { type: "button", onclick: () => Plotly.relayout(node, { "xaxis.autorange": true, "yaxis.autorange": true }) }, "Show all");
  const lead = "Click a point to pin it: everything below follows. Shift and click choose what it is compared with.";
  return section("front", JOINT ? `One front over ${RUNS.length} input sizes` : SEVERAL ? `Fronts of ${RUNS.length} runs` : "Front", lead, node, frontLegend(run, hidden),
    el("div", { class: "controls screen" }, reset, hidden ? everything : null, el("span", { class: "small soft" }, "Keyboard: arrow keys on the chart. Drag to zoom.")));
}

function step(event) {
  const front = frontOf(pinned.runIndex);
  const here = front.findIndex((p) => p.at === pinned.at);
  const nearest = here >= 0 ? here : front.findIndex((p) => p.latency >= pinnedPoint().latency);
  const last = front.length - 1;
  const to = { ArrowLeft: nearest - 1, ArrowRight: nearest + 1, Home: 0, End: last }[event.key];
  if (known(to)) pin(pinned.runIndex, front[Math.min(Math.max(to, 0), last)].at);
  const way = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (SEVERAL && way) {
    const runIndex = (pinned.runIndex + way + RUNS.length) % RUNS.length;
    pin(runIndex, (answerOf(runIndex) || frontOf(runIndex)[0]).at);
  }
  if (known(to) || (SEVERAL && way)) event.preventDefault();
}

function frontLegend(run, hidden) {
  const pins = [["ring", "mark", "A: pinned, B: compared with"]];
  if (SEVERAL) return el("div", {}, legend([...(JOINT ? [["band", "joint", "front over all input sizes"]] : []), ["star", "mark", "base network"], ...pins]));
  const notes = [];
  if (run.quality) {
    notes.push(`Bars on predictions: ${percent(0.8)} of ${run.quality.measured.length} other networks measured on this target lay within.`);
    if (run.candidates.measured_p10_ms) notes.push("Bars on measurements: 10th to 90th percentile.");
    else if (known(run.quality.repeat_percent)) notes.push(`Bars on measurements: ±${run.quality.repeat_percent.toFixed(1)} %, by which nine of ten networks at most differed when timed twice.`);
  } else notes.push("No error bars: the run's latency table or its validation is not here.");
  if (hidden) notes.push(`${hidden} collapsed candidate${hidden > 1 ? "s are" : " is"} below the view.`);
  if (run.left_out) notes.push(`${run.left_out} dominated candidates are left out to keep the page small.`);
  return el("div", {}, legend([["front", "predicted", run.anchored ? "front, latency anchored or measured" : "front, latency predicted"], ["diamond", "measured", "latency measured, joined to its prediction"],
    ["dot", "dominated", "dominated candidate"], ["star", "mark", "base network"], ...(known(run.budget_ms) ? [["dash", "soft", run.goal]] : []), ...pins]),
    el("p", { class: "small soft", style: { "margin-top": "8px" } }, notes.join(" ")));
}
