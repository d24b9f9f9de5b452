/* Several runs side by side. */

function compareSection() {
  const comparison = DATA.comparison;
  const rows = RUNS.map((run, index) => {
    const base = baseOf(index);
    const answer = answerOf(index);
    const seed = run.settings.find(([name]) => name === "seed");
    return { index, run, base, answer, seed: seed ? Number(seed[1]) : null, volume: comparison.hypervolumes[index],
      gain: answer ? base.latency / answer.latency : null };
  });
  const swatch = (index) => el("span", { class: "swatch", style: { "border-top-color": series(index),
    "border-top-style": { solid: "solid", dot: "dotted" }[DASHES[index % DASHES.length]] || "dashed" } });
  const columns = [
    { label: "Run", class: "name", value: (row) => row.run.name, cell: (row) => el("span", { class: "line" }, swatch(row.index), el("button", { type: "button", class: "link",
      onclick: () => pin(row.index, (row.answer || frontOf(row.index)[0]).at) }, row.run.name)) },
    { label: "Strategy", value: (row) => row.run.strategy || "", cell: (row) => row.run.strategy || "–" },
    { label: "Goal", value: (row) => row.run.goal, cell: (row) => row.run.goal },
    { label: "Seed", number: true, value: (row) => row.seed, cell: (row) => (known(row.seed) ? String(row.seed) : "–") },
    { label: "Base, ms", number: true, value: (row) => row.base.latency, cell: (row) => fixed(row.base.latency, 2) },
    { label: "Answer, ms", number: true, value: (row) => row.answer && row.answer.latency, cell: (row) => fixed(row.answer && row.answer.latency, 2) },
    { label: "Speed-up", number: true, value: (row) => row.gain, cell: (row) => (known(row.gain) ? times(row.gain) : "–") },
    { label: `${RUNS[0].score.name}, holdout`, number: true, value: (row) => row.answer && row.answer.holdout, cell: (row) => score(row.answer && row.answer.holdout) },
    { label: "test", number: true, value: (row) => row.answer && row.answer.test, cell: (row) => score(row.answer && row.answer.test) },
    { label: "Hypervolume", number: true, value: (row) => row.volume, cell: (row) => row.volume.toPrecision(4) },
    { label: "State", cell: (row) => row.run.state.text },
  ];
  const parts = [sortable("Runs and the networks they ended with", columns, rows, {})];
  const targets = [...new Set(RUNS.map((run) => run.target))];
  const lead = `Hypervolume: area between the front and the point ${comparison.reference_ms.toPrecision(4)} ms, ${RUNS[0].score.name} ${comparison.reference_score.toPrecision(3)}.`
    + (targets.length > 1 ? " The runs are on different targets: their latencies do not compare." : "");
  comparison.seeds.forEach((one) => parts.push(el("p", { style: { "margin-top": "10px" } },
    `${one.label}, ${one.runs.length} seeds: hypervolume ${one.mean.toPrecision(4)} on average, from ${one.low.toPrecision(4)} to ${one.high.toPrecision(4)}.`)));
  return section("compare", "Side by side", lead, ...parts);
}
