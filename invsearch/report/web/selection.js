// Trials chosen in one figure: every other figure and the table show these alone.
let selection = null; // { run, numbers: Set, source: id of the figure }

const numbersOf = (point) => (Array.isArray(point.customdata) ? point.customdata : [point.customdata]);
const isTrial = (point) => point.data.meta && point.data.meta.run !== undefined && point.customdata !== undefined;

function subset(values, places) {
  return Array.isArray(values) ? places.map((place) => values[place]) : values;
}

function subsetBars(bars, places) {
  return bars && { ...bars, array: subset(bars.array, places), arrayminus: subset(bars.arrayminus, places) };
}

function withoutBars(bars, kept) {
  const of = (arms) => arms && arms.map((arm, place) => (kept.has(place) ? arm : 0));
  return bars && { ...bars, array: of(bars.array), arrayminus: of(bars.arrayminus) };
}

// Where the choice was made the others stay, faintly, to choose anew; elsewhere they are gone.
function chosen(trace, id) {
  if (!selection || !trace.customdata || trace.meta.run !== selection.run || trace.meta.own) return trace;
  const places = trace.customdata.flatMap((number, place) => (selection.numbers.has(number) ? [place] : []));
  if (id === selection.source) {
    const kept = new Set(places);
    const faint = { marker: { opacity: 0.15 } };
    const bars = { error_x: withoutBars(trace.error_x, kept), error_y: withoutBars(trace.error_y, kept) };
    return { ...trace, ...bars, selectedpoints: places, unselected: faint };
  }
  const part = { ...trace, error_x: subsetBars(trace.error_x, places), error_y: subsetBars(trace.error_y, places) };
  for (const key of ["x", "y", "customdata", "hovertext", "text"]) part[key] = subset(trace[key], places);
  return part;
}

function select(run, numbers, source) {
  const known = [...numbers].filter((number) => placeByRun[run].has(number));
  selection = known.length ? { run, numbers: new Set(known), source } : null;
  showSelection();
  report.runs.forEach((_, other) => filter(other));
  redraw();
  document.dispatchEvent(new CustomEvent("trials-selected"));
}

function clearSelection() {
  if (selection) select(selection.run, [], "");
}

function toggle(run, numbers, source, add) {
  const before = add && selection && selection.run === run ? selection.numbers : new Set();
  const alone = selection && selection.run === run && selection.numbers.size === numbers.length;
  const again = numbers.every((number) => selection && selection.run === run && selection.numbers.has(number));
  if (again && (add || alone)) return select(run, [...before].filter((number) => !numbers.includes(number)), source);
  return select(run, [...before, ...numbers], source);
}

function showSelection() {
  const bar = document.getElementById("selection");
  bar.hidden = !selection;
  if (!selection) return;
  const count = selection.numbers.size;
  const name = report.runs.length > 1 ? ` of ${report.runs[selection.run].folder}` : "";
  const which = count <= 3 ? ` (${[...selection.numbers].sort((a, b) => a - b).join(", ")})` : "";
  bar.querySelector("output").textContent = `${count} ${count === 1 ? "trial" : "trials"}${name} selected${which}`;
}

let lastClick = { key: "", time: 0 };

// A tap on a screen arrives twice, as a touch and as a click.
function isEcho(key) {
  const time = performance.now();
  const echo = key === lastClick.key && time - lastClick.time < 400;
  lastClick = { key, time };
  return echo;
}

function clicked(id, event) {
  const point = event.points.find(isTrial);
  if (!point || isEcho(`${id} ${numbersOf(point)}`)) return;
  const { shiftKey, ctrlKey, metaKey } = event.event;
  setTimeout(() => toggle(point.data.meta.run, numbersOf(point), id, shiftKey || ctrlKey || metaKey));
}

function listen(id, element) {
  element.on("plotly_click", (event) => clicked(id, event));
  element.on("plotly_selected", (event) => {
    if (!event) return;
    const points = event.points.filter(isTrial);
    const run = points.length ? points[0].data.meta.run : report.runs.length - 1;
    setTimeout(() => select(run, points.flatMap(numbersOf), id));
  });
  element.on("plotly_deselect", () => setTimeout(clearSelection));
  listenToKeys(id, element);
}

function startSelection() {
  const bar = document.getElementById("selection");
  bar.querySelector(".reset").addEventListener("click", clearSelection);
  bar.querySelector(".show").addEventListener("click", () => {
    document.getElementById(`run${selection.run}-trials`).scrollIntoView();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) clearSelection();
  });
}
