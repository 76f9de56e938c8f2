// Numbers, times and words as people read them.

const number = new Intl.NumberFormat("en");

/** 1234567 as 1,234,567. */
export const count = (value) => number.format(value);

/** "1 model", "2 models". */
export const several = (value, word) => `${count(value)} ${word}${value === 1 ? "" : "s"}`;

/** A measured time: "42 ms", "1.24 s". */
export function measured(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** How long until something, in whole units: "48 s", "5 min", "3 h", "2 d". */
export function span(ms) {
  const units = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"]];
  const [size, unit] = units.find(([size]) => ms >= size * 2) ?? [1000, "s"];
  return `${Math.ceil(ms / size)} ${unit}`;
}

/** A window of a limit as configurations write it: "30s", "5m". */
export function windowLength(ms) {
  const units = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "m"], [1000, "s"], [1, "ms"]];
  const [size, unit] = units.find(([size]) => ms % size === 0) ?? [1, "ms"];
  return `${ms / size}${unit}`;
}

/** A time of day, with the date where it is not today's. */
export function time(ms) {
  const at = new Date(ms);
  const today = at.toDateString() === new Date().toDateString();
  const clock = at.toLocaleTimeString("en-GB");
  return today ? clock : `${at.toLocaleDateString("en-CA")} ${clock}`;
}

/** 2048 as "2.0 KiB". */
export function bytes(value) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (value < 1024) return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1024;
  }
  return `${value.toFixed(1)} GiB`;
}

/** The beginning of a hash. */
export const short = (hash) => (hash ?? "").slice(0, 12);
