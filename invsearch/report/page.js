// What happens when the page opens.
function startLinks() {
  for (const link of document.querySelectorAll("a.trial")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const [, run, number] = link.hash.match(/^#run(\d+)-trial(\d+)$/);
      pick(Number(run), Number(number));
    });
  }
}

// On paper everything is there: every figure in light colours, every table unfolded.
function startPrinting(ids) {
  let folded = [];
  const print = (on) => {
    document.documentElement.classList.toggle("printing", on);
    ids.forEach(draw);
    if (on) folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((details) => { details.open = on; });
    for (const table of tables) {
      if (table && on) while (table.limit < table.shown.length) extend(table);
    }
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
}

function withoutPlotly() {
  for (const plot of document.querySelectorAll(".plot")) {
    plot.style.height = "auto";
    plot.textContent = "This figure needs plotly.js, which could not be loaded.";
  }
  return [];
}

report.runs.forEach((_, run) => buildTable(run));
startLinks();
startLayers();
startSelection();
startPrinting(window.Plotly ? startFigures() : withoutPlotly());
document.documentElement.dataset.ready = "yes";
