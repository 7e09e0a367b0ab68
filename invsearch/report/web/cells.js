// The columns of the table of trials: what a cell says, sorts by and is filtered by.
function plainColumn(label, kind, valueAt, write = String) {
  const cellAt = (place) => {
    const value = valueAt(place);
    return value === null ? null : { sort: value, lines: [write(value)], notes: [] };
  };
  return { label, kind, cellAt };
}

function metricColumn(metric) {
  const cellAt = (place) => {
    const value = metric.values[place];
    if (value === null) return null;
    const notes = [writtenInterval(metric, place), writtenBelief(metric, place), ...levelAt(metric.notes, place).split("; ")];
    return { sort: value, lines: [written(value, metric.format)], notes: notes.filter(Boolean) };
  };
  return { label: metric.label, kind: "number", cellAt };
}

function architectureColumn(run) {
  const { parameters } = report.runs[run];
  const cellAt = (place) => {
    const pairs = parameters.flatMap((parameter) => {
      const value = levelAt(parameter, place);
      return value === null ? [] : [`${parameter.label}=${value}`];
    });
    return { sort: pairs.join(" "), lines: architecture(run, place), notes: [] };
  };
  return { label: "architecture", kind: "wide", cellAt };
}

function columnsOf(run) {
  const data = report.runs[run];
  const metrics = (objective) => data.metrics.filter((metric) => metric.objective === objective).map(metricColumn);
  const columns = [
    plainColumn("trial", "number", (place) => data.number[place]),
    plainColumn("state", "state", (place) => levelAt(data.state, place)),
    plainColumn("P(front)", "number", (place) => data.p_front[place], (value) => value.toFixed(2)),
    ...metrics(true),
    architectureColumn(run),
    ...metrics(false),
    plainColumn("origin", "text minor", (place) => levelAt(data.origin, place)),
    plainColumn("seed", "number minor", (place) => data.seed[place]),
    plainColumn("seconds", "number minor", (place) => data.seconds[place], (value) => value.toFixed(1)),
    plainColumn("reason", "reason", (place) => levelAt(data.reason, place)),
  ];
  return columns.filter((column) => data.number.some((_, place) => column.cellAt(place)));
}

function quantityOf(text) {
  const match = text.match(/^(-?\d*\.?\d+(?:e[-+]?\d+)?)\s*([kMGT]?)/i);
  if (!match) return NaN;
  const suffix = { k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
  return Number(match[1]) * (suffix[match[2].toLowerCase()] || 1);
}

// "> 2", "<= 3G" and "1..5" compare numbers; anything else must occur in the text.
function conditionOf(text) {
  const wanted = text.trim();
  const compared = wanted.match(/^(<=|>=|<|>)\s*(.+)$/);
  if (compared) {
    const bound = quantityOf(compared[2]);
    const tests = { "<": (v) => v < bound, "<=": (v) => v <= bound, ">": (v) => v > bound, ">=": (v) => v >= bound };
    return (item) => item !== null && tests[compared[1]](item.sort);
  }
  const between = wanted.split("..").map((end) => quantityOf(end.trim()));
  if (between.length === 2 && !between.some(Number.isNaN)) {
    return (item) => item !== null && item.sort >= between[0] && item.sort <= between[1];
  }
  return (item) => item !== null && textOf(item).includes(wanted.toLowerCase());
}

const textOf = (item) => [item.sort, ...item.lines, ...item.notes].join(" ").toLowerCase();
