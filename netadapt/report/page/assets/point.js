/* The pinned point: its facts, its widths and where its time goes, against another point. */

function pointLabel(p) {
  const words = [p.name, ms(p.latency) + (known(p.measured) ? " measured" : ""), `${p.run.score.name} ${score(p.holdout)}`];
  if (p.name === p.run.base) words.push("base");
  if (p.name === p.run.answer) words.push("answer");
  return words.join(" · ");
}

/* A point can be chosen by hand too: the front, all measured, the picks of the walk. */
function chooser(id, label, current, choose) {
  const select = el("select", { id, onchange: () => choose(Number(select.value)) });
  const fill = () => {
    const run = RUNS[pinned.runIndex];
    const c = run.candidates;
    const at = current();
    const shown = places(run).filter((i) => c.front[i] || known(c.measured[i]) || c.selected[i] || i === at);
    select.replaceChildren(...shown.map((i) => point(pinned.runIndex, i)).sort((a, b) => a.latency - b.latency)
      .map((p) => el("option", { value: p.at, selected: p.at === at }, pointLabel(p))));
  };
  fill();
  follow(fill);
  return el("label", { class: "wide" }, el("span", { class: "small soft" }, label), select);
}

function pinnedAside() {
  const facts = el("div");
  const fill = () => facts.replaceChildren(...pinnedFacts());
  fill();
  follow(fill);
  const move = (key) => () => step({ key, preventDefault() {} });
  return el("aside", { "aria-labelledby": "pinned-title" },
    el("p", { class: "eyebrow", id: "pinned-title" }, "Pinned point"), el("div", { "aria-live": "polite" }, facts),
    el("div", { class: "screen" },
      el("div", { class: "pair", style: { "margin-top": "14px" } },
        el("button", { type: "button", id: "faster", onclick: move("ArrowLeft") }, "← faster"),
        el("button", { type: "button", id: "slower", onclick: move("ArrowRight") }, "slower →")),
      el("div", { class: "controls" }, chooser("pick", "A", () => pinned.at, (at) => pin(pinned.runIndex, at)),
        chooser("against", "B", () => pinned.against, compareWith))));
}

function pinnedFacts() {
  const p = pinnedPoint();
  const base = baseOf(p.runIndex);
  const rows = [];
  const add = (name, value) => rows.push(el("dt", {}, name), el("dd", {}, value));
  if (SEVERAL) add("run", p.run.name);
  add("predicted", ms(p.predicted));
  if (known(p.measured)) add("measured, p50", ms(p.measured));
  for (const key of ["latency_from", "latency_source"]) if (p.run.candidates[key]) add("latency from", p.run.candidates[key][p.at] || "–");
  if (known(p.predictedEnergy)) add("energy of a run, predicted", mj(p.predictedEnergy));
  if (known(p.measuredEnergy)) add("energy of a run, measured", mj(p.measuredEnergy));
  if (p.at !== base.at) add("against the base", `${times(base.latency / p.latency)} faster`);
  add(`${p.run.score.name}, holdout`, score(p.holdout));
  Object.values(p.run.candidates.tests).forEach((one) => { if (known(one.values[p.at])) add(`${one.name}, test`, score(one.values[p.at])); });
  add("MACs", share(p.macs, base.macs));
  add("parameters", share(p.params, base.params));
  if (p.run.table && p.run.table.facts.precision) add("precision", String(p.run.table.facts.precision));
  add("fine-tune", { base: "none: the base", short: "short-term", long: "long-term" }[p.stage]);
  add("iteration", String(p.iteration));
  add("widths changed", `${changed(p).length} of ${p.run.groups.length} groups`);
  if (p.failure) add("failed", p.failure);
  const kind = p.name === p.run.answer ? "the answer of the search" : p.at === base.at ? "the base network" : p.front ? "on the front" : "dominated";
  return [el("p", { class: "pinname" }, p.name), el("p", { class: "badge" }, kind), el("dl", { class: "facts" }, rows)];
}
function share(value, whole) {
  return !whole || value === whole ? count(value) : `${count(value)} (${percent(value / whole)})`;
}

const spentIn = (p) => (p.run.breakdown ? p.run.breakdown.spent[p.name] || p.run.breakdown.spent[p.name.replace(/-long$/, "")] : null);
function spentBy(p, part) {
  const spent = spentIn(p);
  if (!spent) return null;
  const names = p.run.breakdown[part === 0 ? "groups" : "kinds"];
  const total = new Map();
  spent.forEach((one) => total.set(names[one[part]], (total.get(names[one[part]]) || 0) + one[2]));
  return total;
}

function bar(kind, part) {
  return el("div", { class: `bar ${kind}` }, el("i", { style: { width: `${Math.max(0, Math.min(100, 100 * part)).toFixed(2)}%` } }));
}

function widthsSection() {
  const body = el("div");
  const fill = () => body.replaceChildren(widthsTable());
  fill();
  follow(fill);
  return section("widths", "What was cut", "Channels of each group, pinned point (A, upper bar) against B (grey). Predicted time is that of the group's layers.", body);
}

function widthsTable() {
  const [a, b] = [pinnedPoint(), againstPoint()];
  const [timeA, timeB] = [spentBy(a, 0), spentBy(b, 0)];
  const base = baseOf(a.runIndex);
  const rows = a.run.groups.map((group, i) => ({ group, place: i, a: a.widths[i], b: b.widths[i], full: base.widths[i],
    timeA: timeA ? timeA.get(group) || 0 : null, timeB: timeB ? timeB.get(group) || 0 : null }));
  rows.forEach((row) => { row.saved = timeA && timeB ? row.timeB - row.timeA : null; });
  const longest = Math.max(...rows.map((row) => Math.max(row.timeA || 0, row.timeB || 0)), 1e-9);
  const columns = [
    { label: "Group", value: (row) => row.place, cell: (row) => row.group, class: "name" },
    { label: "Channels", value: (row) => row.a / row.full, class: "bars", cell: (row) => [bar("", row.a / row.full), bar("base", row.b / row.full)] },
    { label: "A / B", value: (row) => row.a, number: true, cell: (row) => `${row.a} / ${row.b}` },
    { label: "kept", value: (row) => row.a / row.full, number: true, cell: (row) => percent(row.a / row.full) },
  ];
  if (timeA && timeB) {
    columns.push(
      { label: "Time", value: (row) => row.timeA, class: "bars", cell: (row) => [bar("", row.timeA / longest), bar("base", row.timeB / longest)] },
      { label: "A / B, ms", value: (row) => row.timeA, number: true, cell: (row) => `${row.timeA.toFixed(3)} / ${row.timeB.toFixed(3)}` },
      { label: "saved, ms", value: (row) => row.saved, number: true, cell: (row) => row.saved.toFixed(3) });
  }
  return sortable(`Widths of A: ${a.name}, against B: ${b.name}`, columns, rows, { rowHeads: true, ...orderOf("widths") });
}

/* A table keeps its order when another point is pinned. */
const orders = new Map();
function orderOf(id) { return orders.get(id) || {}; }
document.addEventListener("click", (event) => {
  const head = event.target.closest && event.target.closest("#widths th");
  if (head) orders.set("widths", { column: [...head.parentNode.children].indexOf(head), down: head.getAttribute("aria-sort") === "descending" });
});

function timeSection() {
  const body = el("div");
  const fill = () => body.replaceChildren(...timeTable());
  fill();
  follow(fill);
  return section("time", "Where the time goes", "Predicted latency by kind of operation, pinned point (A) against B (grey).", body);
}

function timeTable() {
  const [a, b] = [pinnedPoint(), againstPoint()];
  const [timeA, timeB] = [spentBy(a, 1), spentBy(b, 1)];
  if (!timeA || !timeB) {
    const why = a.run.breakdown ? "This point has no breakdown: the base, the walk's picks, the front and the long-term points have one."
      : "This run has no breakdown.csv; searches write one when they finish.";
    return [el("p", { class: "soft" }, why)];
  }
  const [wholeA, wholeB] = [timeA, timeB].map((time) => [...time.values()].reduce((sum, value) => sum + value, 0));
  const rows = [...new Set([...timeB.keys(), ...timeA.keys()])].map((kind) => ({ kind, a: timeA.get(kind) || 0, b: timeB.get(kind) || 0 }));
  const longest = Math.max(...rows.map((row) => Math.max(row.a, row.b)));
  const columns = [
    { label: "Kind", value: (row) => row.kind, cell: (row) => row.kind },
    { label: "Time", value: (row) => row.a, class: "bars", cell: (row) => [bar("", row.a / longest), bar("base", row.b / longest)] },
    { label: "A, ms", value: (row) => row.a, number: true, cell: (row) => row.a.toFixed(3) },
    { label: "share", value: (row) => row.a, number: true, cell: (row) => percent(row.a / wholeA) },
    { label: "B, ms", value: (row) => row.b, number: true, cell: (row) => row.b.toFixed(3) },
    { label: "share", value: (row) => row.b, number: true, cell: (row) => percent(row.b / wholeB) },
  ];
  return [sortable(`Predicted time of A: ${a.name}, against B: ${b.name}`, columns, rows, { rowHeads: true, column: 2, down: true })];
}
