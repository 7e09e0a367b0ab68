// Parallel coordinates, lying: a row per parameter and objective, a line per trial.
const NONE = "none";

function spread(count) {
  return (index) => (count < 2 ? 0.5 : index / (count - 1));
}

// Values that are few get a place each; many are laid out along their range.
function parameterAxis(parameter, trials, most) {
  const used = new Set(trials.map((place) => parameter.codes[place]));
  const codes = [...used].sort((a, b) => a - b);
  const labels = codes.map((code) => (code < 0 ? NONE : String(parameter.levels[code])));
  if (codes.length > most && codes.every((code) => code < 0 || typeof parameter.levels[code] === "number")) {
    return rangeAxis(parameter.label, (place) => levelAt(parameter, place), trials, plain, false);
  }
  const at = spread(codes.length);
  const where = new Map(codes.map((code, index) => [code, at(index)]));
  const nodes = codes.map((code, index) => ({ x: at(index), label: labels[index], code }));
  return { title: parameter.label, nodes, codes: parameter.codes, x: (place) => where.get(parameter.codes[place]) };
}

function rangeAxis(title, valueAt, trials, write, reversed) {
  const values = trials.map(valueAt).filter((value) => value !== null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (place) => {
    const value = valueAt(place);
    if (value === null) return null;
    const share = high > low ? (value - low) / (high - low) : 0.5;
    return reversed ? 1 - share : share;
  };
  const ends = reversed ? [high, low] : [low, high];
  return { title, nodes: [], x, ends: ends.map(write) };
}

function objectiveAxis(metric, trials, direction) {
  const write = (value) => written(value, metric.format);
  const title = `${metric.label} (better \u2192)`;
  return rangeAxis(title, (place) => metric.values[place], trials, write, direction === "minimize");
}

function polyline(axes, places) {
  const [x, y] = [[], []];
  for (const place of places) {
    const jitter = (((place * 7919) % 101) / 101 - 0.5) * 0.024;
    axes.forEach((axis, row) => {
      const at = axis.x(place);
      x.push(at === null || at === undefined ? null : at + (axis.nodes.length ? jitter : 0));
      y.push(row);
    });
    x.push(null);
    y.push(null);
  }
  return { x, y };
}

function lineTrace(axes, places, name, opacity) {
  const line = { color: `@${name}`, width: name === "front" ? 1.8 : 1 };
  return { type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, opacity, line, ...polyline(axes, places) };
}

// Labels that would touch are left out, every second, third, ...; hovering still tells.
function labelled(nodes, width) {
  const longest = Math.max(...nodes.map((node) => node.label.length)) * 6.6 + 10;
  const step = Math.max(1, Math.ceil((longest * (nodes.length - 1)) / (width * 0.8)));
  return nodes.map((node, index) => (index % step === 0 ? escape(node.label) : ""));
}

function nodeTrace(axes, run, trials) {
  const trace = { x: [], y: [], hovertext: [], customdata: [], sizes: [] };
  axes.forEach((axis, row) => {
    axis.nodes.forEach((node) => {
      const with_ = trials.filter((place) => axis.codes[place] === node.code);
      trace.x.push(node.x);
      trace.y.push(row);
      trace.customdata.push(with_.map((place) => report.runs[run].number[place]));
      const shown = with_.filter((place) => isChosen(run, place)).length;
      trace.sizes.push(4 + 12 * Math.sqrt(shown / trials.length));
      trace.hovertext.push(`<b>${escape(axis.title)} = ${escape(node.label)}</b><br>${shown} trials`);
    });
  });
  return trace;
}

function isChosen(run, place) {
  return !selection || selection.run !== run || selection.numbers.has(report.runs[run].number[place]);
}

function nodeNotes(axis, row, width) {
  const labels = axis.nodes.length ? labelled(axis.nodes, width) : [];
  const anchor = (x) => (x === 0 ? { xanchor: "left", xshift: -12 } : x === 1 ? { xanchor: "right", xshift: 12 } : { xanchor: "center" });
  const room = width / 2 - 30;
  return labels.flatMap((text, index) => (text ? [{
    text: shortened(text, room, 11), x: axis.nodes[index].x, ...anchor(axis.nodes[index].x), y: row + 0.14, yanchor: "top", showarrow: false,
    font: { size: 11, color: "@muted" }, bgcolor: "@surface", borderpad: 0,
  }] : []));
}

function notes(axes, width) {
  const titles = axes.map((axis, row) => ({
    name: "row", text: escape(axis.title), xref: "paper", x: 0, xanchor: "left", y: row - 0.16, yanchor: "bottom",
    showarrow: false, font: { size: 12 }, bgcolor: "@surface", borderpad: 1,
  }));
  const ends = axes.flatMap((axis, row) => (axis.ends || []).map((text, end) => ({
    text: escape(text), x: end, xanchor: end ? "right" : "left", y: row + 0.1, yanchor: "top",
    showarrow: false, font: { size: 11, color: "@muted" }, bgcolor: "@surface", borderpad: 0,
  })));
  return [...titles, ...ends, ...axes.flatMap((axis, row) => nodeNotes(axis, row, width))];
}

function rules(axes) {
  return axes.map((_, row) => ({
    type: "line", x0: 0, x1: 1, y0: row, y1: row, layer: "below", line: { color: "@rule", width: 2 },
  }));
}

// Lines that are very many hide each other: every second, third, ... is drawn.
function thinned(places, most) {
  const step = Math.ceil(places.length / most);
  return places.filter((_, index) => index % step === 0);
}

function axesOf(options, trials) {
  const run = report.runs[options.run];
  const parameters = options.parameters.map((name) => run.parameters.find((item) => item.name === name));
  return [
    ...parameters.map((parameter) => parameterAxis(parameter, trials, options.nodes)),
    ...options.objectives.map(([name, direction]) =>
      objectiveAxis(run.metrics.find((item) => item.name === name), trials, direction)),
  ];
}

builders.parallel = (options, element) => {
  const run = report.runs[options.run];
  const trials = options.trials.map((number) => placeByRun[options.run].get(number));
  const axes = axesOf(options, trials);
  const shown = trials.filter((place) => isChosen(options.run, place));
  const opacity = Math.max(0.12, Math.min(0.6, 6 / Math.sqrt(shown.length + 1)));
  const isMember = (place) => run.p_front[place] !== null;
  const node = nodeTrace(axes, options.run, trials);
  const marker = { color: "@surface", size: node.sizes, opacity: 1, line: { color: "@muted", width: 2 } };
  delete node.sizes;
  return {
    data: [
      lineTrace(axes, thinned(trials.filter((place) => !isChosen(options.run, place)), options.most), "muted", 0.1),
      lineTrace(axes, thinned(shown.filter((place) => !isMember(place)), options.most), "other", opacity),
      lineTrace(axes, shown.filter(isMember), "front", 0.9),
      { type: "scatter", mode: "markers", showlegend: false, hoverinfo: "text", cliponaxis: false, marker, meta: { run: options.run, own: true }, ...node },
    ],
    layout: {
      margin: { l: 6, r: 6, t: 16, b: 4 },
      xaxis: { range: [-0.06, 1.06], visible: false, fixedrange: true },
      yaxis: { range: [axes.length - 0.45, -0.6], visible: false, fixedrange: true },
      annotations: notes(axes, element.clientWidth),
      shapes: rules(axes),
    },
  };
};
