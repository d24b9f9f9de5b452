/* Charts share one look, read from the style sheet, and are drawn again when it changes. */

const SERIES = [["#0072b2", "#56b4e9"], ["#d55e00", "#f08a4b"], ["#009e73", "#3ecf9f"], ["#b8558f", "#e08fbf"],
  ["#a87400", "#e6b03a"], ["#2b7fb0", "#9fd4f5"], ["#000000", "#ebe8e1"]];
const DASHES = ["solid", "dash", "dashdot", "dot"];
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];

const isDark = () => document.documentElement.dataset.theme === "dark";
const series = (index) => SERIES[index % SERIES.length][isDark() ? 1 : 0];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const charts = new Map();

function axis(title, more = {}) {
  return { title: { text: plain(title), font: { size: 13 }, standoff: 8 }, gridcolor: colour("faint"), linecolor: colour("rule"),
    zeroline: false, automargin: true, ticks: "outside", tickcolor: colour("rule"), ticklen: 4, ...more };
}

function layout(more) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("soft") },
    margin: { l: 52, r: 14, t: 22, b: 44 }, dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("soft"), align: "left",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("ink") } },
    ...more,
  };
}

/* Draw what build returns into node: now if it is on the page, and whenever the theme changes. */
function chart(node, build, onClick = null) {
  charts.set(node, () => {
    const isNew = !node.classList.contains("js-plotly-plot");
    const { traces, layout: look } = build();
    Plotly.react(node, traces, layout(look), { displayModeBar: false, responsive: true, doubleClick: "reset" });
    if (isNew && onClick) node.on("plotly_click", onClick);
  });
  if (node.isConnected) charts.get(node)();
}
function redrawCharts() {
  charts.forEach((draw, node) => { if (node.isConnected) draw(); else charts.delete(node); });
}
/* The first point under a click that stands for a candidate. */
function clicked(event) {
  const place = event.points.find((one) => Array.isArray(one.customdata));
  return place ? place.customdata : null;
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  redrawCharts();
}

function themeButton() {
  const label = () => (isDark() ? "Light" : "Dark");
  const button = el("button", { type: "button", class: "screen", id: "theme" }, label());
  button.addEventListener("click", () => { setTheme(!isDark()); button.textContent = label(); });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", () => { setTheme(system.matches); button.textContent = label(); });
  return button;
}

/* A legend of its own: words beside the marks, so that colour never speaks alone. */
function legend(items) {
  const ns = "http://www.w3.org/2000/svg";
  return el("ul", { class: "legend" }, items.map(([shape, stroke, text]) => {
    const svg = document.createElementNS(ns, "svg");
    svg.setAttribute("width", "26"); svg.setAttribute("height", "14"); svg.setAttribute("aria-hidden", "true");
    const add = (tag, attributes) => {
      const part = document.createElementNS(ns, tag);
      Object.entries(attributes).forEach(([name, value]) => part.setAttribute(name, value));
      svg.append(part);
    };
    const line = { stroke: `var(--${stroke})`, "stroke-width": 2, fill: "none" };
    const solid = { fill: `var(--${stroke})` };
    if (shape === "front") { add("path", { d: "M1 11H9V4H25", ...line }); add("circle", { cx: 9, cy: 4, r: 3, ...solid }); }
    if (shape === "dot") add("circle", { cx: 13, cy: 7, r: 3, ...solid });
    if (shape === "diamond") add("path", { d: "M13 1L19 7L13 13L7 7Z", ...solid });
    if (shape === "star") add("path", { d: "M13 0l1.8 5h5.2l-4.2 3.1 1.6 5-4.4-3.1-4.4 3.1 1.6-5L6 5h5.200z", ...solid });
    if (shape === "ring") add("circle", { cx: 13, cy: 7, r: 5.5, ...line });
    if (shape === "dash") add("path", { d: "M1 7H25", ...line, "stroke-dasharray": "5 3" });
    if (shape === "band") add("path", { d: "M1 7H25", ...line, "stroke-width": 9 });
    if (shape === "line") add("path", { d: "M1 7H25", ...line });
    if (shape === "cross") add("path", { d: "M8 2L18 12M18 2L8 12", ...line });
    return el("li", {}, svg, text);
  }));
}
