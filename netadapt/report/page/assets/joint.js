/* One front over several input sizes: each run is the walk at one of them. */

const jointPoint = ([runIndex, name]) => point(runIndex, placeOf(RUNS[runIndex], name));
const jointFront = () => JOINT.points.filter(([runIndex, name]) => placeOf(RUNS[runIndex], name) !== null).map(jointPoint);
const jointAnswer = () => (JOINT && JOINT.answer ? jointPoint(JOINT.answer) : null);

function jointTraces() {
  if (!JOINT) return [];
  const front = jointFront();
  return [{ type: "scatter", mode: "lines", name: "front over all input sizes", x: front.map((p) => p.x), y: front.map((p) => p.holdout),
    hoverinfo: "skip", line: { shape: "hv", color: colour("joint"), width: 11 } }];
}

function jointSection() {
  const answer = jointAnswer();
  const isAnswer = (p) => answer && p.runIndex === answer.runIndex && p.at === answer.at;
  const rows = jointFront();
  if (answer && !rows.some(isAnswer)) rows.push(answer);
  const columns = [
    { label: "Point", class: "name", value: (p) => p.name, cell: (p) => el("button", { type: "button", class: "link", onclick: () => pin(p.runIndex, p.at) }, p.name) },
    { label: "Input size", value: (p) => p.run.name, cell: (p) => p.run.name },
    { label: "Latency, ms", number: true, value: (p) => p.x, cell: (p) => fixed(p.x, 3) },
    { label: `${RUNS[0].score.name}, holdout`, number: true, value: (p) => p.holdout, cell: (p) => score(p.holdout) },
    { label: "test", number: true, value: (p) => p.test, cell: (p) => score(p.test) },
    { label: "MACs", number: true, value: (p) => p.macs, cell: (p) => count(p.macs) },
    { label: "Note", cell: (p) => (isAnswer(p) ? "answer" : p.stage === "short" ? "fine-tuned briefly" : "") },
  ];
  const lead = "The points that no point of any input size beats in both latency and accuracy. All are scored on the same frames, against the same truth.";
  return section("joint", "One front", lead, sortable("The front over all input sizes", columns, rows, { column: 2 }));
}
