// Colours are written "@name" and read from the style sheet; "@name-bar" is half transparent,
// "@name-band" more so.
const dark = matchMedia("(prefers-color-scheme: dark)");
const coarse = matchMedia("(pointer: coarse)");
const FONT = "system-ui, sans-serif";
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

function axisOf(axis, width) {
  const line = colour("muted");
  const title = axis.title && { title: { ...axis.title, text: shortened(axis.title.text, width - 70, 14) } };
  return { gridcolor: colour("grid"), linecolor: line, zeroline: false, ticks: "outside", tickcolor: line, ...axis, ...title };
}

const pen = document.createElement("canvas").getContext("2d");

function textWidth(text, size) {
  pen.font = `${size}px ${FONT}`;
  return pen.measureText(text).width;
}

// An escaped text without its middle where it is wider than there is room.
function shortened(text, room, size = 12) {
  const letters = text.match(/&[^;\s]+;|./gsu) || [];
  let [cut, left] = [text, letters.length];
  while (left > 4 && textWidth(cut, size) > room) {
    left -= 2;
    const head = Math.ceil(left / 2);
    cut = `${letters.slice(0, head).join("")}\u2026${letters.slice(letters.length - (left - head)).join("")}`;
  }
  return cut;
}

// What is written above an axis or a row stays within the figure.
function fitted(note, width) {
  const room = width - 70;
  if (note.name === "row") return { ...note, text: shortened(note.text, room) };
  if (note.name !== "heading") return note;
  const text = note.text.replace(" better", "\u00a0better");
  const lines = textWidth(text, 12) > room ? wrapped(text, room / 6.6) : [text];
  return { ...note, text: lines.map((line) => shortened(line, room)).join("<br>") };
}

function layoutOf(layout, selectable, width) {
  const full = themed(layout);
  for (const key of Object.keys(full)) {
    if (/^[xy]axis/.test(key)) full[key] = axisOf(full[key], width);
  }
  full.annotations = (full.annotations || []).map((note) => fitted(note, width));
  const heading = full.annotations.find((note) => note.name === "heading");
  const further = heading ? heading.text.split("<br>").length - 1 : 0;
  const ink = colour("ink");
  return {
    ...full,
    margin: { l: 44, r: 16, t: 34 + 15 * further, b: 44, ...full.margin },
    autosize: true,
    uirevision: "kept",
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: FONT, size: 12, color: ink },
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("muted"), font: { family: FONT, color: ink, size: 12 }, align: "left" },
    hovermode: "closest",
    dragmode: coarse.matches ? false : selectable ? "select" : "zoom",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("accent") },
  };
}
