// The table of trials: sorted, filtered, and built only as far as it is scrolled.
const STEP = 150; // rows built at a time
const tables = [];

function tableCell(column, item) {
  const td = document.createElement("td");
  td.className = column.kind === "state" ? "text state" : column.kind;
  if (!item) return td;
  item.lines.forEach((line, index) => td.append(...(index ? [document.createElement("br"), line] : [line])));
  for (const note of item.notes) {
    const span = document.createElement("span");
    span.textContent = note;
    td.append(span);
  }
  return td;
}

function rowOf(table, place) {
  if (table.rows[place]) return table.rows[place];
  const data = report.runs[table.run];
  const tr = document.createElement("tr");
  tr.id = `run${table.run}-trial${data.number[place]}`;
  tr.tabIndex = -1;
  tr.dataset.state = levelAt(data.state, place);
  const chance = data.p_front[place];
  if (chance !== null) tr.dataset.front = chance < 0.5 ? "doubtful" : "sure";
  tr.append(...table.columns.map((column) => tableCell(column, column.cellAt(place))));
  table.rows[place] = tr;
  return tr;
}

function rowText(table, place) {
  if (table.texts[place] === undefined) {
    table.texts[place] = table.columns.map((column) => column.cellAt(place)).filter(Boolean).map(textOf).join(" ");
  }
  return table.texts[place];
}

function compare(first, second, sign) {
  if (first === null || second === null) return (first === null) - (second === null);
  const order = typeof first.sort === "number" && typeof second.sort === "number"
    ? first.sort - second.sort
    : String(first.sort).localeCompare(String(second.sort), undefined, { numeric: true });
  return sign * order;
}

function sort(table, index, head) {
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const cells = table.order.map((place) => [place, table.columns[index].cellAt(place)]);
  cells.sort((a, b) => compare(a[1], b[1], up ? 1 : -1) || a[0] - b[0]);
  table.order = cells.map(([place]) => place);
  filter(table.run);
}

function conditions(table) {
  const { elements } = table.form;
  const data = report.runs[table.run];
  const words = elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  if (selection && selection.run === table.run) found.push((place) => selection.numbers.has(data.number[place]));
  if (elements.state.value) found.push((place) => levelAt(data.state, place) === elements.state.value);
  if (elements.front.checked) found.push((place) => data.p_front[place] !== null);
  table.inputs.forEach((input, index) => {
    const keep = input.value.trim() && conditionOf(input.value);
    if (keep) found.push((place) => keep(table.columns[index].cellAt(place)));
  });
  if (words.length) found.push((place) => words.every((word) => rowText(table, place).includes(word)));
  return found;
}

function filter(run) {
  const table = tables[run];
  if (!table) return;
  const all = conditions(table);
  table.shown = table.order.filter((place) => all.every((keep) => keep(place)));
  table.limit = STEP;
  show(table);
  const chosenOnly = selection && selection.run === run ? " (selected in a figure)" : "";
  table.form.querySelector("output").textContent = `${table.shown.length} of ${table.order.length} trials${chosenOnly}`;
}

function show(table) {
  const rows = table.shown.slice(0, table.limit).map((place) => rowOf(table, place));
  table.body.replaceChildren(...rows);
  const left = table.shown.length - rows.length;
  table.more.hidden = left <= 0;
  table.more.textContent = `Show more rows (${left} left)`;
}

function extend(table) {
  const from = table.limit;
  table.limit += STEP;
  table.body.append(...table.shown.slice(from, table.limit).map((place) => rowOf(table, place)));
  const left = Math.max(0, table.shown.length - table.limit);
  table.more.hidden = !left;
  table.more.textContent = `Show more rows (${left} left)`;
}

function headOf(table, column, index) {
  const th = document.createElement("th");
  th.scope = "col";
  if (column.kind.endsWith("minor")) th.className = "minor";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = column.label;
  button.addEventListener("click", () => sort(table, index, th));
  th.append(button);
  return th;
}

function columnFilter(table, column) {
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = column.kind.startsWith("number") ? "< > .." : "contains";
  input.setAttribute("aria-label", `Filter the column ${column.label}`);
  input.addEventListener("input", () => filter(table.run));
  table.inputs.push(input);
  const td = document.createElement("td");
  td.append(input);
  return td;
}

function resetFilters(run) {
  tables[run].form.reset();
  tables[run].inputs.forEach((input) => { input.value = ""; });
  filter(run);
}

function buildTable(run) {
  const form = document.querySelector(`form.filters[data-run="${run}"]`);
  if (!form) return;
  const element = document.getElementById(`run${run}-table`);
  const more = document.getElementById(`run${run}-more`);
  const order = report.runs[run].number.map((_, place) => place);
  const table = { run, form, more, order, shown: order, limit: STEP, rows: [], texts: [], inputs: [], columns: columnsOf(run) };
  tables[run] = table;
  const head = element.createTHead();
  head.insertRow().append(...table.columns.map((column, index) => headOf(table, column, index)));
  head.insertRow().append(...table.columns.map((column) => columnFilter(table, column)));
  head.rows[0].cells[0].setAttribute("aria-sort", "ascending");
  table.body = element.createTBody();
  listenToTable(table);
  filter(run);
}

function listenToTable(table) {
  table.form.addEventListener("input", () => filter(table.run));
  table.form.addEventListener("submit", (event) => event.preventDefault());
  table.form.querySelector(".clear").addEventListener("click", () => { clearSelection(); resetFilters(table.run); });
  table.form.querySelector(".csv").addEventListener("click", () => downloadCsv(table));
  table.more.addEventListener("click", () => extend(table));
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && !table.more.hidden) extend(table);
  }, { root: table.more.parentNode, rootMargin: "400px" }).observe(table.more);
}

function pick(run, number) {
  const place = placeByRun[run].get(number);
  const table = tables[run];
  if (place === undefined || !table) return;
  if (selection) clearSelection();
  if (!table.shown.includes(place)) resetFilters(run);
  while (table.limit <= table.shown.indexOf(place)) extend(table);
  for (const other of document.querySelectorAll("tr.picked")) other.classList.remove("picked");
  const row = rowOf(table, place);
  row.classList.add("picked");
  row.scrollIntoView({ block: "center" });
  row.focus({ preventScroll: true });
}
