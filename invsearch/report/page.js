"use strict";
(() => {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const drawn = new Set();
  const rowsByRun = report.runs.map((run) => new Map(run.rows.map((row) => [row.n, row])));

  const escape = (text) =>
    String(text).replace(/[&<>$]/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[\x00-\x1f\x7f]/g, " ");

  // Colours are written "@name" (or "@name-bar", half transparent) and read from the style sheet.
  function colour(name) {
    const style = getComputedStyle(document.documentElement);
    const bar = name.endsWith("-bar");
    const value = style.getPropertyValue(`--${bar ? name.slice(0, -4) : name}`).trim();
    return bar ? `${value}80` : value;
  }

  function themed(value) {
    if (typeof value === "string") return value.startsWith("@") ? colour(value.slice(1)) : value;
    if (Array.isArray(value)) return value.map(themed);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item)]));
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

  function hover(run, number) {
    const narrow = innerWidth < 600;
    const table = report.runs[run];
    const row = rowsByRun[run].get(number);
    const at = (key) => row.cells[table.columns.findIndex((column) => column.key === key)];
    const chance = row.p === null ? "" : `, on the front with probability ${row.p.toFixed(2)}`;
    const lines = [`<b>trial ${number}</b> (${escape(at("origin")[1])})${chance}`];
    table.columns.forEach((column, index) => {
      const cell = row.cells[index];
      if (column.key === "metric" && cell) {
        const further = cell.slice(2, narrow ? 3 : undefined).join(", ");
        lines.push(`${escape(column.label)} <b>${escape(cell[1])}</b> ${escape(further)}`);
      }
    });
    const width = narrow ? 38 : 70;
    const architecture = at("architecture").slice(1).flatMap((group) => wrapped(group, width));
    const cut = architecture.length > 14 ? [...architecture.slice(0, 13), "..."] : architecture;
    return lines.concat(cut.map(escape)).join("<br>");
  }

  function completed(trace) {
    if (!trace.customdata || trace.hoverinfo !== "text") return trace;
    return { ...trace, hovertext: trace.customdata.map((number) => hover(trace.meta.run, number)) };
  }

  function layoutOf(layout) {
    const full = themed(layout);
    const axis = { gridcolor: colour("grid"), linecolor: colour("muted"), zeroline: false, ticks: "outside", tickcolor: colour("muted") };
    for (const key of Object.keys(full)) {
      if (key.startsWith("xaxis") || key.startsWith("yaxis")) full[key] = { ...axis, ...full[key] };
    }
    return {
      ...full,
      autosize: true,
      margin: { l: 44, r: 16, t: 34, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: colour("ink") },
      hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("muted"), font: { color: colour("ink"), size: 12 }, align: "left" },
      hovermode: "closest",
      dragmode: coarse.matches ? false : "zoom",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("accent") },
    };
  }

  function draw(id) {
    const element = document.getElementById(id);
    const spec = report.figures[id];
    const traces = themed(spec.data.map(completed));
    traces.forEach((trace, index) => { trace.visible = !hidden(id).has(index); });
    const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
    Plotly.react(element, traces, layoutOf(spec.layout), config);
    if (!drawn.has(id)) {
      drawn.add(id);
      element.on("plotly_click", (event) => {
        const point = event.points.find((item) => item.data.meta && item.customdata !== undefined);
        if (point) pick(point.data.meta.run, point.customdata);
      });
    }
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

  function pick(run, number) {
    const row = document.getElementById(`run${run}-trial${number}`);
    if (!row) return;
    if (row.hidden) document.querySelector(`form[data-run="${run}"]`).reset();
    if (row.hidden) filter(run);
    for (const other of document.querySelectorAll("tr.picked")) other.classList.remove("picked");
    row.classList.add("picked");
    row.scrollIntoView({ block: "center" });
    row.focus({ preventScroll: true });
  }

  function cellOf(column, cell) {
    const td = document.createElement("td");
    td.className = column.key === "state" ? "text state" : column.kind;
    if (!cell) return td;
    const plain = column.kind === "wide" ? cell.length : 2;
    td.append(cell[1]);
    for (const line of cell.slice(2, plain)) td.append(document.createElement("br"), line);
    for (const line of cell.slice(plain)) {
      const span = document.createElement("span");
      span.textContent = line;
      td.append(span);
    }
    return td;
  }

  function rowOf(run, columns, row) {
    const tr = document.createElement("tr");
    tr.id = `run${run}-trial${row.n}`;
    tr.tabIndex = -1;
    tr.dataset.state = row.state;
    if (row.p !== null) tr.dataset.front = row.p < 0.5 ? "doubtful" : "sure";
    row.text = row.cells.flatMap((cell) => cell || []).join(" ").toLowerCase();
    row.element = tr;
    tr.append(...columns.map((column, index) => cellOf(column, row.cells[index])));
    return tr;
  }

  function compare(first, second, sign) {
    if (first === null || second === null) return (first === null) - (second === null);
    const order = typeof first[0] === "number" && typeof second[0] === "number"
      ? first[0] - second[0]
      : String(first[0]).localeCompare(String(second[0]), undefined, { numeric: true });
    return sign * order;
  }

  function sort(run, index, head) {
    const table = document.getElementById(`run${run}-table`);
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...report.runs[run].rows];
    rows.sort((a, b) => compare(a.cells[index], b.cells[index], up ? 1 : -1) || a.n - b.n);
    table.tBodies[0].append(...rows.map((row) => row.element));
  }

  function filter(run) {
    const form = document.querySelector(`form[data-run="${run}"]`);
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = form.elements.state.value;
    const rows = report.runs[run].rows;
    let shown = 0;
    for (const row of rows) {
      const keep = (!state || row.state === state) && (!form.elements.front.checked || row.p !== null)
        && words.every((word) => row.text.includes(word));
      row.element.hidden = !keep;
      shown += keep;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length} trials`;
  }

  function build(run) {
    const form = document.querySelector(`form[data-run="${run}"]`);
    if (!form) return;
    const { columns, rows } = report.runs[run];
    const table = document.getElementById(`run${run}-table`);
    const head = table.createTHead().insertRow();
    columns.forEach((column, index) => {
      const th = document.createElement("th");
      th.scope = "col";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.label;
      button.addEventListener("click", () => sort(run, index, th));
      th.append(button);
      head.append(th);
    });
    table.createTBody().append(...rows.map((row) => rowOf(run, columns, row)));
    head.cells[0].setAttribute("aria-sort", "ascending");
    form.addEventListener("input", () => filter(run));
    form.addEventListener("submit", (event) => event.preventDefault());
    filter(run);
  }

  function figures() {
    const ids = Object.keys(report.figures);
    const later = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          later.unobserve(entry.target);
          draw(entry.target.id);
        }
      }
    }, { rootMargin: "300px" });
    ids.forEach((id, index) => (index < 2 ? draw(id) : later.observe(document.getElementById(id))));
    const redraw = () => drawn.forEach(draw);
    dark.addEventListener("change", redraw);
    const print = (on) => {
      document.documentElement.classList.toggle("printing", on);
      ids.forEach(draw);
    };
    addEventListener("beforeprint", () => print(true));
    addEventListener("afterprint", () => print(false));
    for (const button of document.querySelectorAll(".legend button")) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
        if (drawn.has(button.dataset.figure)) draw(button.dataset.figure);
      });
    }
  }

  report.runs.forEach((_, run) => build(run));
  for (const link of document.querySelectorAll(".pick a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const [, run, number] = link.hash.match(/^#run(\d+)-trial(\d+)$/);
      pick(Number(run), Number(number));
    });
  }
  if (Object.keys(report.figures).length) figures();
  document.documentElement.dataset.ready = "yes";
})();
