// The trials, column by column, and how their values are written.
const report = JSON.parse(document.getElementById("report-data").textContent);
const placeByRun = report.runs.map((run) => new Map(run.number.map((number, place) => [number, place])));
const hovers = new Map();

const escape = (text) =>
  String(text).replace(/[&<>$]/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[\x00-\x1f\x7f]/g, " ");

const levelAt = (column, place) => (column.codes[place] < 0 ? null : column.levels[column.codes[place]]);

function scaled(value) {
  for (const [scale, suffix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= scale) return `${(value / scale).toPrecision(4)} ${suffix}`;
  }
  return String(Number(value.toPrecision(4)));
}

const BYTES = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];
const isWhole = (value) => Number.isInteger(value) && Math.abs(value) < 1e6;

// The decimals that four significant digits take; null where a power of ten is due.
function decimalsOf(value) {
  const size = Math.abs(value);
  return size >= 1e-4 && size < 1e6 ? Math.max(0, 3 - Number(value.toExponential(3).split("e")[1])) : null;
}

function plain(value) {
  if (isWhole(value)) return String(value);
  const decimals = decimalsOf(value);
  return decimals === null ? value.toExponential(3).replace("+", "") : value.toFixed(decimals);
}

function written(value, format) {
  if (format.kind === "scaled") return scaled(value);
  if (format.kind === "percent") return `${value.toFixed(2)} %`;
  if (format.kind !== "bytes") return plain(value) + format.unit;
  const [scale, unit] = BYTES.find(([least]) => Math.abs(value) >= least) || [1, "B"];
  return `${plain(value / scale)} ${unit}`;
}

function writtenEnds(low, high, format) {
  const [small, large] = [Math.abs(low), Math.abs(high)].sort((a, b) => a - b);
  const decimals = decimalsOf(large);
  const alike = format.kind === "plain" && !(isWhole(low) && isWhole(high));
  if (!alike || decimals === null || small < large / 1e3) return [written(low, format), written(high, format)];
  return [low, high].map((end) => end.toFixed(decimals) + format.unit);
}

function writtenInterval(metric, place) {
  const [low, high] = [metric.low[place], metric.high[place]];
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
    const dot = parameter.name.lastIndexOf(".");
    const part = dot < 0 ? "" : `${parameter.name.slice(0, dot)}: `;
    if (!groups.has(part)) groups.set(part, []);
    groups.get(part).push(`${parameter.name.slice(dot + 1)}=${value}`);
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
    const further = [writtenInterval(metric, place), narrow ? "" : levelAt(metric.notes, place).replaceAll("; ", ", ")];
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
