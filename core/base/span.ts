/**
 * Spans of time as people write them.
 *
 * @module
 */

const UNITS: Record<string, number> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Milliseconds of `24h`, `1h30m`, `45s`, `500ms`, or of a number of seconds; undefined if the text is no span of time. */
export function parseSpan(text: string): number | undefined {
  if (/^[0-9]+(?:\.[0-9]{1,3})?$/.test(text)) return Math.round(Number(text) * 1000);
  if (!/^(?:[0-9]+(?:ms|[dhms]))+$/.test(text)) return undefined;
  let span = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)(ms|[dhms])/g)) {
    span += Number(count) * UNITS[unit!]!;
  }
  return span;
}

/** The shortest text that {@linkcode parseSpan} reads as so many milliseconds: `90s`, `500ms`, `2h`. */
export function formatSpan(milliseconds: number): string {
  if (milliseconds === 0) return "0s";
  const unit = ["h", "m", "s", "ms"].find((name) => milliseconds % UNITS[name]! === 0)!;
  return `${milliseconds / UNITS[unit]!}${unit}`;
}
