/* Photographs, truth and what two points predict; a slider between the two. */

/* Only the base and long-term points have pictures; a short-term point shows its long-term one. */
function answersOf(p) {
  const all = p.run.samples.answers;
  for (const name of [p.name, `${p.name}-long`]) if (all[name]) return name;
  if (p.name === p.run.base && all.base) return "base"; /* older runs name the two by their part */
  if (p.name === p.run.answer && all.pruned) return "pruned";
  return null;
}

function samplesSection() {
  const body = el("div");
  const fill = () => body.replaceChildren(...samplesOf());
  fill();
  follow(fill);
  return section("samples", "What the network sees", null, body);
}

function samplesOf() {
  const [a, b] = [pinnedPoint(), againstPoint()];
  const samples = a.run.samples;
  if (!samples) return [el("p", { class: "soft" }, "This run keeps no sample pictures.")];
  const names = [answersOf(b), answersOf(a)];
  const missing = [b, a].filter((_, index) => !names[index]).map((p) => p.name);
  const note = missing.length ? `No pictures of ${missing.join(" and ")}: the base and the long-term points have them.` : null;
  const columns = [["photograph", ""], ["ground truth", ""], [`B: ${b.name}`, ""], [`A: ${a.name}`, ""], ["B | A", "both"]];
  const strips = el("div", { class: "strips" });
  samples.names.forEach((name, row) => {
    const image = (uri, alt) => el("img", { src: uri, alt, width: samples.width, height: samples.height });
    const unknown = samples.unknown[row] >= 0.5 ? `grey: no depth (${samples.unknown[row].toFixed(0)} %)` : "";
    const answer = (which, p) => (which ? [image(samples.answers[which][row], `depth of ${name} by ${p.name}`), samples.scores[which][row]] : null);
    const cells = [[image(samples.photographs[row], `photograph ${name}`), name], [image(samples.truths[row], `true depth of ${name}`), unknown],
      answer(names[0], b), answer(names[1], a)];
    cells.forEach((cell, index) => {
      strips.append(el("figure", {}, el("div", { class: "head" }, row === 0 || innerWidth < 1081 ? columns[index][0] : ""),
        cell ? cell[0] : el("p", { class: "soft small" }, "no picture"), el("figcaption", {}, cell ? cell[1] : "")));
    });
    if (names[0] && names[1]) {
      strips.append(el("figure", { class: "both" }, el("div", { class: "head" }, row === 0 || innerWidth < 1081 ? "B left, A right of the line" : ""),
        el("div", { class: "wipe" }, image(samples.answers[names[0]][row], `depth of ${name} by ${b.name}`),
          image(samples.answers[names[1]][row], `depth of ${name} by ${a.name}`)), el("figcaption", {}, "")));
    }
  });
  const slider = el("input", { type: "range", id: "wipe", min: "0", max: "100", value: String(wiped), "aria-label": "Line between B and A, percent from the left" });
  const wipe = () => { wiped = Number(slider.value); strips.style.setProperty("--wipe", `${wiped}%`); };
  slider.addEventListener("input", wipe);
  wipe();
  return [note ? el("p", { class: "lead" }, note) : null,
    el("div", { class: "controls" }, el("div", { class: "depthbar", role: "img", "aria-label": `colour scale, ${samples.near.toFixed(1)} to ${samples.far.toFixed(1)} metres` },
      `${samples.near.toFixed(1)} m`, el("i", {}), `${samples.far.toFixed(1)} m`),
      names[0] && names[1] ? el("label", { class: "wide screen" }, el("span", { class: "small soft" }, "B"), slider, el("span", { class: "small soft" }, "A")) : null),
    strips].filter(Boolean);
}
let wiped = 50;
