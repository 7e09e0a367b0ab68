// The chosen network taken apart: bars block by block, a table by operator, a table by layer.
const QUANTITIES = {
  macs: { label: "MACs (fvcore)", format: { kind: "scaled" } },
  macs_paper: { label: "MACs (paper's convention)", format: { kind: "scaled" } },
  params: { label: "parameters", format: { kind: "scaled" } },
  bytes: { label: "bytes moved", format: { kind: "bytes" } },
};
const OPERATOR_COLOURS = ["run1", "run0", "run2", "run3", "run4"];
const PLAIN_LAYERS = ["convolution (fixed)", "linear", "add", "max_pool", "global_average_pool",
  "global_max_pool"];

const layerForm = (run) => document.querySelector(`form.layers[data-run="${run}"]`);

function chosenNetwork(run) {
  const place = Number(layerForm(run).elements.network.value);
  return report.runs[run].layers.networks[place];
}

// The operators that are searched, by name, then what every network has beside them.
function operatorsOf(run) {
  const all = new Set(report.runs[run].layers.networks.flatMap((network) => network.operator.levels));
  const searched = [...all].filter((operator) => !PLAIN_LAYERS.includes(operator)).sort().reverse();
  return [...searched, ...PLAIN_LAYERS.filter((operator) => all.has(operator))];
}

function operatorColour(run, operator) {
  const plain = PLAIN_LAYERS.indexOf(operator);
  if (plain >= 0) return plain === 0 ? "muted" : "run5";
  return OPERATOR_COLOURS[operatorsOf(run).indexOf(operator) % OPERATOR_COLOURS.length];
}

// "stage2.block3.conv1" belongs to block "2.3", "stem.conv1" to "stem".
function blockOf(layer) {
  const match = layer.match(/^stage(\d+)\.block(\d+)\./);
  return match ? `${match[1]}.${match[2]}` : layer.split(".")[0];
}

function sums(network, keyOf, quantity) {
  const found = new Map();
  network.name.forEach((_, place) => {
    const key = keyOf(place);
    found.set(key, (found.get(key) || 0) + network[quantity][place]);
  });
  return found;
}

function barTrace(run, network, operator, blocks, quantity) {
  const own = network.name.map((_, place) => levelAt(network.operator, place) === operator);
  const heights = sums(network, (place) => (own[place] ? blockOf(network.name[place]) : null), quantity.key);
  return {
    type: "bar", showlegend: false, x: blocks, y: blocks.map((block) => heights.get(block) || 0),
    marker: { color: `@${operatorColour(run, operator)}` }, hoverinfo: "text",
    hovertext: blocks.map((block) => `<b>${block}</b>, ${escape(operator)}<br>${written(heights.get(block) || 0, quantity.format)}`),
  };
}

builders.layers = (options) => {
  const network = chosenNetwork(options.run);
  const key = layerForm(options.run).elements.quantity.value;
  const quantity = { key, ...QUANTITIES[key] };
  const blocks = [...new Set(network.name.map(blockOf))];
  const heading = { name: "heading", xref: "paper", x: 0, xanchor: "left", yref: "paper", y: 1, yanchor: "bottom", yshift: 6, showarrow: false };
  const room = document.getElementById(`run${options.run}-layers0`).clientWidth / blocks.length;
  return {
    data: operatorsOf(options.run).map((operator) => barTrace(options.run, network, operator, blocks, quantity)),
    layout: {
      barmode: "stack",
      bargap: 0.15,
      xaxis: { title: { text: "stage.block" }, type: "category", automargin: true, tickangle: room < 48 ? -90 : 0, showgrid: false },
      yaxis: { automargin: true, exponentformat: "SI" },
      annotations: [{ ...heading, text: quantity.label }],
    },
  };
};

function cell(text, kind, tag = "td") {
  const element = document.createElement(tag);
  if (tag === "th") element.scope = "col";
  element.className = kind;
  element.textContent = text;
  return element;
}

function fillTable(table, heads, rows) {
  table.replaceChildren();
  table.createTHead().insertRow().append(...heads.map(([text, kind]) => cell(text, kind, "th")));
  const lines = rows.map((cells) => {
    const tr = document.createElement("tr");
    tr.append(...cells.map((item, index) => (item instanceof Node ? item : cell(item, heads[index][1]))));
    return tr;
  });
  table.createTBody().append(...lines);
}

function operatorCell(run, operator) {
  const td = cell(operator, "text");
  const swatch = document.createElement("i");
  swatch.style.background = `var(--${operatorColour(run, operator)})`;
  td.prepend(swatch);
  return td;
}

function withShare(value, total, format) {
  if (!value || !total) return written(value, format);
  const share = (100 * value) / total;
  return `${written(value, format)} (${share < 0.1 ? "< 0.1" : share.toFixed(1)} %)`;
}

function fillOperators(run, network) {
  const keys = Object.keys(QUANTITIES);
  const byKey = keys.map((key) => sums(network, (place) => levelAt(network.operator, place), key));
  const totals = keys.map((key) => network[key].reduce((sum, value) => sum + value, 0));
  const counts = sums({ ...network, one: network.name.map(() => 1) }, (place) => levelAt(network.operator, place), "one");
  const rows = operatorsOf(run).filter((operator) => counts.has(operator)).map((operator) => [
    operatorCell(run, operator), String(counts.get(operator)),
    ...keys.map((key, index) => withShare(byKey[index].get(operator), totals[index], QUANTITIES[key].format)),
  ]);
  const whole = keys.map((key, index) => written(totals[index], QUANTITIES[key].format));
  rows.push(["all", String(network.name.length), ...whole]);
  const heads = keys.map((key) => [QUANTITIES[key].label, "number"]);
  const table = document.getElementById(`run${run}-operators`);
  fillTable(table, [["operator", "text"], ["layers", "number"], ...heads], rows);
  table.rows[table.rows.length - 1].className = "total";
}

function fillLayers(run, network) {
  const keys = Object.keys(QUANTITIES);
  const rows = network.name.map((name, place) => [
    name, levelAt(network.operator, place), network.shape[place],
    ...keys.map((key) => written(network[key][place], QUANTITIES[key].format)),
  ]);
  const heads = keys.map((key) => [QUANTITIES[key].label, "number"]);
  fillTable(document.getElementById(`run${run}-layer-table`), [["layer", "text"], ["operator", "text"], ["output", "number"], ...heads], rows);
}

// What the bars' colours stand for; layers that are never searched share one.
function fillSwatches(run, network) {
  const used = operatorsOf(run).filter((operator) => network.operator.levels.includes(operator));
  const byColour = new Map(used.map((operator) => [operatorColour(run, operator), []]));
  used.forEach((operator) => byColour.get(operatorColour(run, operator)).push(operator.replaceAll("_", " ")));
  const entries = [...byColour].map(([name, operators]) => {
    const entry = cell(operators.join(", "), "swatch", "span");
    const mark = document.createElement("i");
    mark.style.background = `var(--${name})`;
    entry.prepend(mark);
    return entry;
  });
  document.getElementById(`run${run}-swatches`).replaceChildren(...entries);
}

function showNetwork(run) {
  const network = chosenNetwork(run);
  const { elements } = layerForm(run);
  const chosen = [elements.network, elements.quantity].map((select) => select.selectedOptions[0].text);
  document.querySelector(`#run${run}-cost .shown`).textContent = chosen.join("; ");
  fillSwatches(run, network);
  fillOperators(run, network);
  fillLayers(run, network);
  const figure = Object.keys(report.figures).find((id) => report.figures[id].build === "layers" && report.figures[id].options.run === run);
  if (drawn.has(figure)) draw(figure);
}

// A single trial chosen in a figure is the network taken apart, where the page holds its layers.
function followSelection(run) {
  if (!selection || selection.run !== run || selection.numbers.size !== 1) return;
  const [number] = selection.numbers;
  const place = report.runs[run].layers.networks.findIndex((network) => network.trial === number);
  if (place < 0) return;
  layerForm(run).elements.network.value = String(place);
  showNetwork(run);
}

function startLayers() {
  for (const form of document.querySelectorAll("form.layers")) {
    const run = Number(form.dataset.run);
    report.runs[run].layers.networks.forEach((network, place) => form.elements.network.add(new Option(network.label, place)));
    form.addEventListener("input", () => showNetwork(run));
    form.addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("trials-selected", () => followSelection(run));
    showNetwork(run);
  }
}
