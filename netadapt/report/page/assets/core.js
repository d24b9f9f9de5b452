"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.runs || [];
const SEVERAL = RUNS.length > 1;
const JOINT = SEVERAL ? DATA.joint : null;

/* Elements are made here alone; text from a run never becomes markup. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([key, v]) => node.style.setProperty(key, v));
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

function section(id, title, lead, ...children) {
  return el("section", { id, "aria-labelledby": `${id}-title` },
    el("header", {}, el("h2", { id: `${id}-title` }, title)),
    lead ? el("p", { class: "lead" }, lead) : null, ...children);
}

const known = (value) => value !== null && value !== undefined;
function fixed(value, digits, otherwise = "–") { return known(value) ? value.toFixed(digits) : otherwise; }
function ms(value) {
  if (!known(value)) return "–";
  return `${value.toFixed(value >= 100 ? 1 : value >= 1 ? 2 : 4)} ms`;
}
const score = (value) => fixed(value, 3);
function count(value) {
  if (!known(value)) return "–";
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(3))}${unit}`;
  }
  return String(value);
}
const counted = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const bytes = (value) => `${count(value)}B`.replace("–B", "–");
const percent = (share) => `${(100 * share).toFixed(0)} %`;
const mj = (value) => `${value.toPrecision(4)} mJ`;
const times = (value) => `${value.toFixed(2)}×`;

/* Plotly reads a little markup in its texts: names must not be taken for it. */
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
const scoreName = (run, split) => `${run.score.name} on the ${split}${run.score.unit ? `, ${run.score.unit}` : ""}`;

/* One candidate of one run. */
function point(runIndex, at) {
  const run = RUNS[runIndex];
  const c = run.candidates;
  return {
    runIndex, at, run, name: c.name[at], stage: c.stage[at], iteration: c.iteration[at],
    predicted: c.predicted[at], measured: c.measured[at], holdout: c.holdout[at],
    x: c.latency[at], macs: c.macs[at], params: c.params[at], widths: c.widths[at], front: c.front[at],
    selected: c.selected[at], failure: c.failures[c.name[at]] || null,
    predictedEnergy: c.predicted_mj ? c.predicted_mj[at] : null, measuredEnergy: c.measured_mj ? c.measured_mj[at] : null,
    test: c.tests[run.score.key] ? c.tests[run.score.key].values[at] : null,
    get latency() { return known(this.measured) ? this.measured : this.predicted; },
    get energy() { return known(this.measuredEnergy) ? this.measuredEnergy : this.predictedEnergy; },
  };
}
const places = (run) => run.candidates.name.map((_, at) => at);
function placeOf(run, name) { const at = run.candidates.name.indexOf(name); return at < 0 ? null : at; }
const baseOf = (runIndex) => point(runIndex, placeOf(RUNS[runIndex], RUNS[runIndex].base));
function answerOf(runIndex) {
  const at = placeOf(RUNS[runIndex], RUNS[runIndex].answer);
  return at === null ? null : point(runIndex, at);
}
function frontOf(runIndex) {
  const run = RUNS[runIndex];
  return places(run).filter((at) => run.candidates.front[at]).map((at) => point(runIndex, at))
    .sort((a, b) => a.x - b.x);
}
function changed(p) {
  const base = baseOf(p.runIndex);
  return p.run.groups.map((group, i) => ({ group, from: base.widths[i], to: p.widths[i] }))
    .filter((one) => one.from !== one.to);
}

/* What is pinned; everything below the front follows it. */
const pinned = { runIndex: 0, at: 0, against: 0 };
const followers = [];
function follow(draw) { followers.push(draw); }
function redraw() { followers.forEach((draw) => draw()); }
function pin(runIndex, at) {
  if (runIndex !== pinned.runIndex) pinned.against = placeOf(RUNS[runIndex], RUNS[runIndex].base);
  pinned.runIndex = runIndex;
  pinned.at = at;
  remember();
  redraw();
}
function compareWith(at) { pinned.against = at; remember(); redraw(); }
const pinnedPoint = () => point(pinned.runIndex, pinned.at);
const againstPoint = () => point(pinned.runIndex, pinned.against);
function remember() {
  try {
    sessionStorage.setItem("netadapt", JSON.stringify({ run: RUNS[pinned.runIndex].path, name: pinnedPoint().name }));
  } catch { /* a page from the disk may have no storage */ }
}
function recall() {
  const first = jointAnswer() || answerOf(0) || frontOf(0)[0] || baseOf(0);
  Object.assign(pinned, { runIndex: first.runIndex, at: first.at, against: baseOf(first.runIndex).at });
  if (!DATA.watch) return;
  try {
    const kept = JSON.parse(sessionStorage.getItem("netadapt"));
    const runIndex = RUNS.findIndex((run) => run.path === kept.run);
    const at = placeOf(RUNS[runIndex], kept.name);
    if (at !== null) Object.assign(pinned, { runIndex, at, against: baseOf(runIndex).at });
  } catch { /* nothing was pinned before */ }
}

/* A table whose columns sort it. Columns: label, value (to sort by), cell (to show), number. */
function sortable(caption, columns, rows, options = {}) {
  const order = { column: options.column ?? null, down: options.down ?? false };
  const body = el("tbody");
  const heads = columns.map((column, index) => {
    const sort = () => {
      order.down = order.column === index ? !order.down : Boolean(column.number);
      order.column = index;
      fill();
    };
    const inside = column.value ? el("button", { type: "button", onclick: sort }, column.label) : column.label;
    return el("th", { scope: "col", class: column.number ? "number" : null }, inside);
  });
  function fill() {
    heads.forEach((head, index) => {
      if (!columns[index].value) return;
      if (index === order.column) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const sorted = [...rows];
    if (order.column !== null) {
      const value = columns[order.column].value;
      sorted.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (!known(x) || !known(y)) return known(y) - known(x);
        const way = typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
        return order.down ? -way : way;
      });
    }
    body.replaceChildren(...sorted.map((row) => el("tr", { class: options.on && options.on(row) ? "on" : null },
      columns.map((column, index) => el(index === 0 && options.rowHeads ? "th" : "td",
        { class: column.class || (column.number ? "number" : null), scope: index === 0 && options.rowHeads ? "row" : null },
        column.cell(row))))));
  }
  fill();
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, heads)), body));
}
