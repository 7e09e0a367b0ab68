// Arrow keys walk through the points of a figure, Enter or space chooses.
const cursors = {};
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function pointsOf(element) {
  const found = element.data.flatMap((trace, curve) => {
    if (!trace.customdata || !trace.meta || trace.visible === false) return [];
    return trace.customdata.map((numbers, point) => ({
      curve, point, run: trace.meta.run, numbers: [].concat(numbers),
      x: trace.x[point], y: trace.y[point], down: Boolean(trace.meta.own),
      text: trace.hovertext ? trace.hovertext[point] : "",
    }));
  });
  return onceEach(found).sort((a, b) => (a.down ? a.y - b.y || a.x - b.x : a.x - b.x || a.y - b.y));
}

// A baseline's ring lies on its point: each trial is visited once.
function onceEach(points) {
  const seen = new Set();
  return points.filter((item) => {
    const key = item.down ? `${item.curve} ${item.point}` : String(item.numbers);
    return !seen.has(key) && seen.add(key);
  });
}

function visit(id, element, points, place) {
  cursors[id] = place;
  const item = points[place];
  Plotly.Fx.hover(element, [{ curveNumber: item.curve, pointNumber: item.point }]);
  const text = item.text.replace(/<br>/g, ". ").replace(/<[^>]*>/g, "");
  const decoder = document.createElement("textarea");
  decoder.innerHTML = text;
  document.getElementById("announced").textContent = decoder.value;
}

function listenToKeys(id, element) {
  element.addEventListener("keydown", (event) => {
    if (event.target !== element) return;
    const points = pointsOf(element);
    if (!points.length) return;
    const at = Math.min(cursors[id] ?? -1, points.length - 1);
    if (event.key in STEPS) visit(id, element, points, (at + STEPS[event.key] + points.length) % points.length);
    else if (event.key === "Home") visit(id, element, points, 0);
    else if (event.key === "End") visit(id, element, points, points.length - 1);
    else if ((event.key === "Enter" || event.key === " ") && at >= 0) toggle(points[at].run, points[at].numbers, id, true);
    else return;
    event.preventDefault();
  });
  element.addEventListener("blur", () => Plotly.Fx.unhover(element));
}
