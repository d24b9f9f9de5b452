/* The page of a latency table: staircases with what was measured, errors, coverage. */

function tablePage(table) {
  const facts = Object.entries(table.facts).map(([name, value]) => [name.replace(/_/g, " "), String(value)]);
  const nodes = [
    el("header", { class: "top" }, el("div", {}, el("p", { class: "eyebrow" }, "netadapt latency table"), el("h1", {}, table.name),
      el("p", { class: "sub" }, `${table.workloads} workloads, measured ${table.facts.date || ""}`)), themeButton()),
    section("target", "Target", null, el("dl", { class: "facts wide" }, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      table.calibrations.length ? sortable("Calibration: network ms = (per call + per workload · workloads + scale · sum of p50) / 1000", calibrationColumns(table), table.calibrations, { rowHeads: true })
        : el("p", { class: "soft" }, "The profile was interrupted: there is no calibration yet.")),
  ];
  nodes.push(section("quality", "Whole networks", null, ...(table.quality ? qualityParts(table.quality) : [el("p", { class: "soft" }, "The table has no validation.csv yet.")])));
  nodes.push(staircaseSection(table), el("div", { class: "two" }, errorSection(table), coverageSection(table)));
  return nodes;
}

const CALIBRATION = [
  { label: "Network", cell: (row) => row.model || "unknown" },
  { label: "input", cell: (row) => row.input || "unknown" },
  { label: "networks", number: true, cell: (row) => String(row.networks) },
  { label: "per call, µs", number: true, cell: (row) => row.call_us.toFixed(1) },
  { label: "per workload, µs", number: true, cell: (row) => row.workload_us.toFixed(3) },
  { label: "scale", number: true, cell: (row) => row.scale.toFixed(4) },
];

const ENERGY = { label: "energy of a run", cell: (row) => row.energy || "–" };
function calibrationColumns(table) {
  return table.calibrations.some((row) => row.energy) ? [...CALIBRATION, ENERGY] : CALIBRATION;
}

const SHOWN_AT_FIRST = 6;

function staircaseSection(table) {
  const panels = el("div", { class: "panels" });
  let shown = 0;
  const more = el("button", { type: "button", id: "more", onclick: () => show() }, "");
  function show() {
    table.families.slice(shown, shown + SHOWN_AT_FIRST).forEach((family, index) => panels.append(familyPanel(family, shown + index)));
    shown = Math.min(shown + SHOWN_AT_FIRST, table.families.length);
    more.textContent = `Show ${Math.min(SHOWN_AT_FIRST, table.families.length - shown)} more of ${table.families.length}`;
    more.hidden = shown === table.families.length;
  }
  show();
  return section("staircases", "Latency against channels",
    "Dots are measured (p50, bars from p10 to p90), lines what the table answers. The families with the longest workloads come first. Where input channels matter too, a few numbers of them are drawn.",
    panels, el("div", { class: "controls screen" }, more));
}

function familyPanel(family, place) {
  const node = el("div", { class: "chart", style: { height: "270px" } });
  requestAnimationFrame(() => chart(node, () => {
    const levels = family.curves.map((curve) => curve.beside);
    const traces = family.curves.flatMap((curve, index) => {
      const tone = series(index);
      const at = family.points.channels.map((_, i) => i).filter((i) => family.points.beside[i] === curve.beside);
      const pick = (values) => at.map((i) => values[i]);
      const p50 = pick(family.points.p50);
      const name = known(curve.beside) ? `${curve.beside} in` : "";
      return [
        { type: "scatter", mode: "lines", x: curve.channels, y: curve.us, line: { color: tone, width: 1.6, dash: DASHES[index % 3] },
          hovertemplate: `%{x} channels${name ? `, ${name}` : ""}<br>table: %{y:.1f} µs<extra></extra>` },
        { type: "scatter", mode: "markers", x: pick(family.points.channels), y: p50, marker: { color: tone, size: 6, symbol: SYMBOLS[index % SYMBOLS.length] },
          error_y: { type: "data", symmetric: false, array: pick(family.points.p90).map((v, i) => v - p50[i]), arrayminus: pick(family.points.p10).map((v, i) => p50[i] - v), thickness: 1, width: 0, color: tone },
          hovertemplate: `%{x} channels${name ? `, ${name}` : ""}<br>measured: %{y:.1f} µs<extra></extra>` },
      ];
    });
    const tops = [...family.points.p50, ...family.curves.flatMap((curve) => curve.us)].filter(known);
    return { traces, layout: { margin: { l: 50, r: 12, t: 8, b: 42 }, xaxis: axis(family.axis, { rangemode: "tozero" }),
      yaxis: axis("µs", { range: [0, 1.12 * Math.max(...tops)] }),
      annotations: levels.length > 1 ? curveNames(family, Math.max(...tops)) : [] } };
  }));
  return el("figure", { style: { margin: "0", "min-width": "0" }, id: `family-${place}` }, el("h3", {}, family.name), node);
}

/* The input channels at the end of each curve; curves that end close to each other share a name. */
function curveNames(family, top) {
  const names = [];
  family.curves.forEach((curve, index) => {
    if (!known(curve.beside) || !curve.us.length) return;
    const end = { x: curve.channels[curve.channels.length - 1], y: curve.us[curve.us.length - 1] };
    const near = names.find((one) => Math.abs(one.y - end.y) < 0.09 * top && Math.abs(one.x - end.x) < 0.12 * end.x);
    if (near) near.text = near.text.replace(" in", `, ${curve.beside} in`);
    else names.push({ ...end, text: `${curve.beside} in`, showarrow: false, xanchor: "right", yanchor: "bottom", font: { size: 11.5, color: series(index) } });
  });
  return names;
}

function errorSection(table) {
  const columns = [
    { label: "Kind", value: (row) => row.kind, cell: (row) => row.kind },
    { label: "workloads", number: true, value: (row) => row.workloads, cell: (row) => String(row.workloads) },
    { label: "half within", number: true, value: (row) => row.p50_percent, cell: (row) => `${row.p50_percent.toFixed(1)} %` },
    { label: "nine of ten within", number: true, value: (row) => row.p90_percent, cell: (row) => `${row.p90_percent.toFixed(1)} %` },
  ];
  return section("errors", "Error by kind", "Each workload is left out in turn and predicted from the others of its family (7 folds; families of at least 14).",
    table.errors.length ? sortable("Error of left-out workloads", columns, table.errors, { rowHeads: true, column: 3, down: true })
      : el("p", { class: "soft" }, "No family has enough workloads to leave some out."));
}

function coverageSection(table) {
  const columns = ["kind", "workloads", "in_channels", "out_channels", "p50_us"].filter((name) => table.coverage.length && name in table.coverage[0])
    .map((name) => ({ label: name.replace("_us", ", µs").replace("_", " "), number: name !== "kind", value: (row) => (name === "kind" ? row[name] : parseFloat(row[name])), cell: (row) => row[name] }));
  return section("coverage", "What was measured", null, sortable("Workloads by kind", columns, table.coverage, { rowHeads: true }));
}
