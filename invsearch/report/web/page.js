// What happens when the page opens.
function startLinks() {
  for (const link of document.querySelectorAll("a[href*='-trial']")) {
    const target = link.hash.match(/^#run(\d+)-trial(\d+)$/);
    if (!target) continue;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      pick(Number(target[1]), Number(target[2]));
    });
  }
}

// A command is broken between its words alone, never at a hyphen of an option.
function startCommands() {
  for (const code of document.querySelectorAll("code.words")) {
    const words = code.textContent.split(" ").map((word) => {
      const span = document.createElement("span");
      span.textContent = word;
      return span;
    });
    code.replaceChildren(...words.flatMap((span, index) => (index ? [" ", span] : [span])));
  }
}

// On paper everything is there: every figure in light colours, every table unfolded.
function startPrinting(ids) {
  let folded = [];
  const print = (on) => {
    document.documentElement.classList.toggle("printing", on);
    if (on) ids.forEach(draw);
    else redraw();
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
startCommands();
startLayers();
startSelection();
startPrinting(window.Plotly ? startFigures() : withoutPlotly());
document.documentElement.dataset.ready = "yes";
