// The trials, column by column, and how their values are written.
const report = JSON.parse(document.getElementById("report-data").textContent);
const placeByRun = report.runs.map((run) => new Map(run.number.map((number, place) => [number, place])));
const hovers = new Map();

const escape = (text) =>
  String(text).replace(/[&<>$]/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[\x00-\x1f\x7f]/g, " ");

const levelAt = (column, place) => (column.codes[place] < 0 ? null : column.levels[column.codes[place]]);

function writtenInterval(metric, place) {
  return writtenSpan(metric, metric.low[place], metric.high[place]);
}

function writtenBelief(metric, place) {
  if (!metric.belief[place]) return "";
  const [value, low, high] = metric.belief[place];
  return `believed ${written(value, metric.format)} (${writtenSpan(metric, low, high)})`;
}

function writtenSpan(metric, low, high) {
  if (low === undefined || low === null || high === null) return "";
  const [first, last] = writtenEnds(low, high, metric.format);
  if (first === last) return first;
  const [number, unit] = first.split(" ");
  return `${unit && last.endsWith(` ${unit}`) ? number : first} to ${last}`;
}

function architecture(run, place) {
  const groups = new Map();
  for (const parameter of report.runs[run].parameters) {
    const value = levelAt(parameter, place);
    if (value === null) continue;
    const dot = parameter.label.lastIndexOf(".");
    const part = dot < 0 ? "" : `${parameter.label.slice(0, dot)}: `;
    if (!groups.has(part)) groups.set(part, []);
    groups.get(part).push(`${parameter.label.slice(dot + 1)}=${value}`);
  }
  return [...groups].map(([part, pairs]) => part + pairs.join(" "));
}

function wrapped(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1];
    if (last && last.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return lines;
}

function hoverLines(run, number, narrow) {
  const data = report.runs[run];
  const place = placeByRun[run].get(number);
  const chance = data.p_front[place];
  const member = chance === null ? "" : `, on the front with probability ${chance.toFixed(2)}`;
  const lines = [`<b>trial ${number}</b> (${escape(levelAt(data.origin, place))})${member}`];
  for (const metric of data.metrics) {
    if (metric.values[place] === null) continue;
    const further = [writtenInterval(metric, place), writtenBelief(metric, place), narrow ? "" : levelAt(metric.notes, place).replaceAll("; ", ", ")];
    const value = escape(written(metric.values[place], metric.format));
    lines.push(`${escape(metric.label)} <b>${value}</b> ${escape(further.filter(Boolean).join(", "))}`);
  }
  const whole = architecture(run, place).flatMap((group) => wrapped(group, narrow ? 38 : 70));
  const cut = whole.length > 14 ? [...whole.slice(0, 13), "..."] : whole;
  return lines.concat(cut.map(escape));
}

function hover(run, number) {
  const narrow = innerWidth < 600;
  const key = `${run} ${number} ${narrow}`;
  if (!hovers.has(key)) hovers.set(key, hoverLines(run, number, narrow).join("<br>"));
  return hovers.get(key);
}
