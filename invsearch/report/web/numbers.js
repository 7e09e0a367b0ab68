// How numbers are written: the rules of invsearch/value.py, which a test compares these with.
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

// What rounds to nothing is neither more nor less than nothing.
const unsigned = (text) => (/[1-9]/.test(text.split("e")[0]) ? text : text.replace(/^-/, ""));

function plain(value) {
  if (isWhole(value)) return unsigned(String(value));
  const decimals = decimalsOf(value);
  return decimals === null ? value.toExponential(3).replace("+", "") : value.toFixed(decimals);
}

const tail = (format) => (format.unit ? ` ${format.unit}` : "");

function written(value, format) {
  if (format.kind === "scaled") return scaled(value);
  if (format.kind === "percent") return `${unsigned(value.toFixed(2))} %`;
  if (format.kind !== "bytes") return plain(value) + tail(format);
  const [scale, unit] = BYTES.find(([least]) => Math.abs(value) >= least) || [1, "B"];
  return `${plain(value / scale)} ${unit}`;
}

function writtenEnds(low, high, format) {
  const [small, large] = [Math.abs(low), Math.abs(high)].sort((a, b) => a - b);
  const decimals = decimalsOf(large);
  const alike = format.kind === "plain" && !(isWhole(low) && isWhole(high));
  if (!alike || decimals === null || small < large / 1e3) return [written(low, format), written(high, format)];
  return [low, high].map((end) => unsigned(end.toFixed(decimals)) + tail(format));
}
