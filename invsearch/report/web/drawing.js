// Figures: drawn when they are first seen, and again when the theme, the key or the selection changes.
const drawn = new Set();
const stale = new Set();
const inSight = new Set();
const ranges = {};
const builders = {};
// Nothing is ever sent anywhere: plotly's own "share" button is left out.
const CONFIG = { responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "" };
const SELECTING = ["select2d", "lasso2d"];

function completed(trace) {
  if (!trace.customdata || trace.hoverinfo !== "text" || trace.hovertext) return trace;
  return { ...trace, hovertext: trace.customdata.map((number) => hover(trace.meta.run, number)) };
}

function specOf(id) {
  const figure = report.figures[id];
  if (!figure.build) return figure;
  return builders[figure.build](figure.options, document.getElementById(id));
}

function hidden(id) {
  const indices = new Set();
  for (const button of document.querySelectorAll(`.legend button[data-figure="${id}"]`)) {
    if (button.getAttribute("aria-pressed") === "false") {
      for (const index of button.dataset.traces.split(" ")) indices.add(Number(index));
    }
  }
  return indices;
}

function react(id, filtered) {
  const element = document.getElementById(id);
  const { selectable } = report.figures[id];
  const spec = specOf(id);
  const off = hidden(id);
  const traces = spec.data.map((trace, index) => ({
    ...themed(filtered ? chosen(completed(trace), id) : completed(trace)),
    visible: !off.has(index),
  }));
  const layout = layoutOf(spec.layout, selectable, element.clientWidth);
  if (filtered && selection) keepRanges(id, layout);
  const displayModeBar = innerWidth < 600 ? false : "hover"; // on a phone it would lie on the title
  const config = { ...CONFIG, displayModeBar, modeBarButtonsToRemove: selectable ? ["autoScale2d"] : [...SELECTING, "autoScale2d"] };
  Plotly.react(element, traces, layout, config);
  return element;
}

// A filtered figure keeps the axes of the whole one.
function keepRanges(id, layout) {
  for (const [axis, range] of Object.entries(ranges[id] || {})) {
    layout[axis] = { ...layout[axis], range: [...range], autorange: false };
  }
}

function rememberRanges(id, element) {
  ranges[id] = {};
  for (const [key, axis] of Object.entries(element._fullLayout)) {
    if (/^[xy]axis\d*$/.test(key)) ranges[id][key] = [...axis.range];
  }
}

function draw(id) {
  stale.delete(id);
  if (!drawn.has(id)) {
    const element = react(id, false);
    drawn.add(id);
    rememberRanges(id, element);
    if (report.figures[id].selectable) listen(id, element);
    if (!selection) return;
  }
  react(id, true);
}

// Figures in sight are drawn anew one after the other, the page answering in between; the others
// when they are seen.
function redraw() {
  for (const id of drawn) stale.add(id);
  setTimeout(redrawNext);
}

function redrawNext() {
  const id = [...stale].find((each) => inSight.has(each));
  if (!id) return;
  draw(id);
  setTimeout(redrawNext);
}

function drawWhenSeen(ids) {
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const { id } = entry.target;
      if (!entry.isIntersecting) inSight.delete(id);
      else if (inSight.add(id) && (stale.has(id) || !drawn.has(id))) draw(id);
    }
  }, { rootMargin: "200px" });
  ids.forEach((id) => watch.observe(document.getElementById(id)));
}

// The first pair's front and one further figure, a light one, need no scrolling.
function firstFigures(ids) {
  const front = ids.find((id) => report.figures[id].selectable && !report.figures[id].build);
  const others = ids.filter((id) => id !== front && !report.figures[id].build);
  const further = others.find((id) => !report.figures[id].selectable) || others[0];
  return [front, further].filter(Boolean);
}

function toggleTraces(button) {
  button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
  if (drawn.has(button.dataset.figure)) draw(button.dataset.figure);
}

// Titles and labels are fitted to a figure's width.
function redrawWhenWider() {
  let [width, waiting] = [innerWidth, 0];
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 150);
  });
}

function startFigures() {
  const ids = [...document.querySelectorAll(".plot")].map((plot) => plot.id);
  const first = firstFigures(ids);
  first.forEach(draw);
  drawWhenSeen(ids);
  dark.addEventListener("change", redraw);
  redrawWhenWider();
  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => toggleTraces(button));
  }
  return ids;
}
