// Colours are written "@name" and read from the style sheet; "@name-bar" is half transparent,
// "@name-band" more so.
const dark = matchMedia("(prefers-color-scheme: dark)");
const coarse = matchMedia("(pointer: coarse)");
const ALPHA = { bar: "80", band: "30" };

function colour(name) {
  const [base, kind] = name.split("-");
  const style = getComputedStyle(document.documentElement);
  return style.getPropertyValue(`--${base}`).trim() + (ALPHA[kind] || "");
}

function themed(value) {
  if (typeof value === "string") return value.startsWith("@") ? colour(value.slice(1)) : value;
  if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(themed);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item)]));
}

function axisOf(axis) {
  const line = colour("muted");
  return { gridcolor: colour("grid"), linecolor: line, zeroline: false, ticks: "outside", tickcolor: line, ...axis };
}

function layoutOf(layout, selectable) {
  const full = themed(layout);
  for (const key of Object.keys(full)) {
    if (/^[xy]axis/.test(key)) full[key] = axisOf(full[key]);
  }
  const ink = colour("ink");
  return {
    margin: { l: 44, r: 16, t: 34, b: 44 },
    ...full,
    autosize: true,
    uirevision: "kept",
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: ink },
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("muted"), font: { color: ink, size: 12 }, align: "left" },
    hovermode: "closest",
    dragmode: coarse.matches ? false : selectable ? "select" : "zoom",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("accent") },
  };
}
