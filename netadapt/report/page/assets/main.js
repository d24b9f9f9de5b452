/* Puts the page together. */

function rulerOf(runIndex) {
  const base = baseOf(runIndex);
  const answer = answerOf(runIndex);
  const run = RUNS[runIndex];
  const whole = 1.06 * Math.max(base.latency, run.budget_ms || 0);
  const place = (value) => `${Math.min(100, (100 * value) / whole).toFixed(3)}%`;
  const flag = (kind, value, text, left) => el("div", { class: `flag ${kind}${left ? " left" : ""}`, style: { left: place(value) } }, text ? el("b", {}, text) : null);
  const major = niceStep(whole / 6);
  const ticks = [];
  for (let tick = 0; tick * (major / 5) <= whole; tick += 1) {
    const value = tick * (major / 5);
    const isMajor = tick % 5 === 0;
    ticks.push(el("div", { class: `tick${isMajor ? " major" : ""}`, style: { left: place(value) } }, isMajor ? el("span", {}, `${Number(value.toPrecision(3))}${tick === 0 ? " ms" : ""}`) : null));
  }
  const node = el("div", { class: "ruler", role: "img", "aria-label": rulerText(run, base, answer) }, ticks);
  if (answer && answer.latency < base.latency) {
    node.append(el("div", { class: "gain", style: { left: place(answer.latency), width: place(base.latency - answer.latency) } }, answer.latency < 0.75 * base.latency ? el("span", {}, `${times(base.latency / answer.latency)} faster`) : null));
  }
  if (known(run.budget_ms)) node.append(flag("budget", run.budget_ms, run.goal, run.budget_ms > 0.6 * whole));
  node.append(flag("", base.latency, `base ${ms(base.latency)}`, true));
  if (answer) node.append(flag("answer", answer.latency, `answer ${ms(answer.latency)}`, answer.latency > 0.42 * whole));
  const marker = flag("pinned", base.latency, null, false);
  node.append(marker);
  const move = () => { if (pinned.runIndex === runIndex) marker.style.left = place(pinnedPoint().latency); };
  move();
  follow(move);
  return el("div", {}, node, el("div", { class: "ruler-space" }));
}
function rulerText(run, base, answer) {
  return `Latency: base ${ms(base.latency)}${answer ? `, answer ${ms(answer.latency)}` : ""}; ${run.goal}`;
}
function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

function readouts(runIndex) {
  const run = RUNS[runIndex];
  const [base, answer] = [baseOf(runIndex), answerOf(runIndex)];
  const item = (name, value, note) => el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, note)));
  const items = [];
  if (answer) {
    items.push(item(known(answer.measured) ? "Latency, measured p50" : "Latency, predicted", ms(answer.latency), `base ${ms(base.latency)}`));
    if (known(answer.energy) && known(base.energy)) items.push(item(known(answer.measuredEnergy) ? "Energy of a run, measured" : "Energy of a run, predicted", mj(answer.energy), `base ${mj(base.energy)}`));
    items.push(item(scoreName(run, "holdout"), score(answer.holdout), `base ${score(base.holdout)}`));
    if (known(answer.test)) items.push(item(scoreName(run, "test split"), score(answer.test), `base ${score(base.test)}`));
    items.push(item("MACs", count(answer.macs), `base ${count(base.macs)}`), item("Parameters", count(answer.params), `base ${count(base.params)}`));
  } else {
    items.push(item("Base latency", ms(base.latency), known(base.measured) ? "measured p50" : "predicted"), item(scoreName(run, "holdout"), score(base.holdout), "of the base"),
      item("MACs", count(base.macs), "of the base"), item("Parameters", count(base.params), "of the base"));
  }
  items.push(item("Evaluated", String(run.candidates.name.length + run.left_out), `${counted(run.walk.length, "iteration")}, ${frontOf(runIndex).length} on the front`));
  return el("dl", { class: "readouts" }, items);
}

function pageHeader() {
  const [first] = RUNS;
  const title = JOINT ? JOINT.name : SEVERAL ? `${RUNS.length} runs compared` : first.name;
  const badge = el("span", { class: `badge${first.state.finished ? " done" : ""}` }, first.state.text);
  const targets = [...new Set(RUNS.map((run) => run.target))].join(", ");
  return el("header", { class: "top" }, el("div", {}, el("p", { class: "eyebrow" }, "netadapt search"), el("h1", {}, title),
    el("p", { class: "sub" }, JOINT ? `${targets} · ${first.goal} · input sizes ${RUNS.map((run) => run.name).join(", ")}` : SEVERAL ? targets : [`${first.target} · ${first.goal}${first.strategy ? ` · ${first.strategy}` : ""} `, badge])), themeButton());
}

function settingsSection() {
  const body = el("div");
  const fill = () => {
    const run = RUNS[pinned.runIndex];
    const target = run.table ? Object.entries(run.table.facts).map(([name, value]) => [name.replace(/_/g, " "), String(value)]) : [];
    const list = (pairs) => el("dl", { class: "facts wide" }, pairs.map(([name, value]) => [el("dt", {}, name.replace(/_/g, " ")), el("dd", { class: "mono" }, value)]));
    const cost = run.summary.training_samples;
    body.replaceChildren(...[
      run.commands.length ? el("pre", {}, run.commands.map((command) => `$ ${command}`).join("\n")) : el("p", { class: "soft" }, "The run does not say how it was made: it has no run.json."),
      target.length ? el("h3", { style: { "margin-top": "16px" } }, `Target, from ${run.table.path}`) : null, target.length ? list(target) : null,
      run.settings.length ? el("h3", { style: { "margin-top": "16px" } }, "Settings") : null, run.settings.length ? list(run.settings) : null,
      cost && typeof cost === "object" ? el("p", { class: "small soft", style: { "margin-top": "10px" } }, `Training images read: ${Object.entries(cost).map(([stage, n]) => `${n} ${stage}`).join(", ")}.`) : null,
      el("h3", { style: { "margin-top": "16px" } }, `Files in ${run.path}`), list(run.files.map(([name, size]) => [name, bytes(size)])),
    ].filter(Boolean));
  };
  fill();
  follow(fill);
  return section("settings", "Make it again", null, body);
}

function pointsSection() {
  const body = el("div");
  const fill = () => {
    const run = RUNS[pinned.runIndex];
    const points = places(run).map((at) => point(pinned.runIndex, at)).filter((p) => p.front || known(p.measured) || p.stage === "base");
    const columns = [
      { label: "Point", class: "name", value: (p) => p.name, cell: (p) => el("button", { type: "button", class: "link", "aria-pressed": String(p.at === pinned.at), onclick: () => pin(p.runIndex, p.at) }, p.name) },
      { label: "Predicted, ms", number: true, value: (p) => p.predicted, cell: (p) => fixed(p.predicted, 3) },
      { label: "Measured, ms", number: true, value: (p) => p.measured, cell: (p) => fixed(p.measured, 3) },
      ...(points.some((p) => known(p.energy)) ? [{ label: "Energy, mJ", number: true, value: (p) => p.energy, cell: (p) => fixed(p.energy, 3) }] : []),
      { label: `${run.score.name}, holdout`, number: true, value: (p) => p.holdout, cell: (p) => score(p.holdout) },
      ...Object.values(run.candidates.tests).map((test) => ({ label: `${test.name}, test`, number: true, value: (p) => test.values[p.at], cell: (p) => score(test.values[p.at]) })),
      { label: "MACs", number: true, value: (p) => p.macs, cell: (p) => count(p.macs) },
      { label: "Parameters", number: true, value: (p) => p.params, cell: (p) => count(p.params) },
      { label: "Note", cell: (p) => (p.name === run.answer ? "answer" : p.name === run.base ? "base" : p.front ? "" : "dominated") },
    ];
    body.replaceChildren(sortable(`Front, measured points and base of ${run.name}`, columns, points, { column: 1, on: (p) => p.at === pinned.at }));
  };
  fill();
  follow(fill);
  return section("points", "Points", null, body);
}

function runsPage() {
  recall();
  const nodes = [pageHeader()];
  if (!SEVERAL) nodes.push(rulerOf(0), readouts(0));
  return { nodes, later: () => [
    el("div", { class: "split" }, frontSection(), pinnedAside()),
    ...(JOINT ? [jointSection()] : []),
    ...(SEVERAL ? [compareSection()] : []),
    ...(RUNS.some((run) => run.samples) ? [samplesSection()] : []),
    widthsSection(), timeSection(), pointsSection(), walkSection(), el("div", { class: "two" }, clockSection(), qualitySection()), settingsSection(),
  ] };
}

/* A page that is served asks whether there is a newer one. */
let watching = null;
function watch() {
  const ask = async () => {
    try {
      const now = await (await fetch("version")).text();
      if (watching !== null && now !== watching) location.reload();
      watching = now;
    } catch { /* the server was stopped; the page stays as it is */ }
  };
  ask();
  setInterval(ask, 2000);
}

function start() {
  document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const page = el("main", {});
  document.getElementById("page").replaceWith(el("div", { id: "page" }, page, el("footer", {}, `Written by netadapt ${DATA.version}.`)));
  if (DATA.kind === "table") page.append(...tablePage(DATA.table));
  else {
    const { nodes, later } = runsPage();
    page.append(...nodes, ...later());
  }
  redrawCharts();
  addEventListener("beforeprint", () => { setTheme(false); charts.forEach((_, node) => Plotly.Plots.resize(node)); });
  if (DATA.watch) watch();
}
start();
