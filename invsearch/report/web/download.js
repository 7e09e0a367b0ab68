// The trials that the table shows, as CSV; made here, nothing is asked for.
function quoted(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

function csvColumns(run) {
  const data = report.runs[run];
  const plain = (name) => [name, (place) => data[name][place]];
  const coded = (name, column) => [name, (place) => levelAt(column, place)];
  const metrics = data.metrics.flatMap((metric) => [
    [metric.name, (place) => metric.values[place]],
    [`${metric.name}_low`, (place) => metric.low[place]],
    [`${metric.name}_high`, (place) => metric.high[place]],
    coded(`${metric.name}_source`, metric.source),
    coded(`${metric.name}_notes`, metric.notes),
    ...(metric.belief.length ? beliefColumns(metric) : []),
  ]);
  return [
    plain("number"), coded("state", data.state), plain("p_front"), coded("origin", data.origin), plain("seed"),
    plain("seconds"), coded("reason", data.reason),
    ...data.parameters.map((parameter) => coded(parameter.column, parameter)),
    ...metrics,
  ];
}

function beliefColumns(metric) {
  return ["", "_low", "_high"].map((end, which) => [
    `${metric.name}_belief${end}`, (place) => metric.belief[place] && metric.belief[place][which],
  ]);
}

function csvOf(table) {
  const columns = csvColumns(table.run);
  const lines = table.shown.map((place) => columns.map(([, valueAt]) => quoted(valueAt(place))).join(","));
  return [columns.map(([name]) => quoted(name)).join(","), ...lines, ""].join("\r\n");
}

function downloadCsv(table) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csvOf(table)], { type: "text/csv;charset=utf-8" }));
  const slug = report.runs[table.run].name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  link.download = `${slug || "run"}-trials.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
