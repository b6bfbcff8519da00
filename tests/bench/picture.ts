/**
 * A bar chart as SVG, readable on light and dark ground.
 *
 * @module
 */

/** One bar. */
export interface Bar {
  readonly name: string;
  readonly value: number;
}

const WIDTH = 760;
const LABEL = 260;
const ROW = 30;
const TOP = 50;

const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Draws bars that begin at zero. */
export function picture(title: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map((bar) => bar.value), 0) || 1;
  const height = TOP + bars.length * ROW + 10;
  const rows = bars.map(({ name, value }, index) => {
    const y = TOP + index * ROW;
    const width = Math.max(1, value / most * (WIDTH - LABEL - 70));
    const fill = name.startsWith("udp") ? "#d97706" : "#2563eb";
    return `  <text x="${LABEL - 10}" y="${y + 17}" text-anchor="end">${escape(name)}</text>
  <rect x="${LABEL}" y="${y + 3}" width="${width.toFixed(1)}" height="${
      ROW - 10
    }" rx="2" fill="${fill}"/>
  <text x="${(LABEL + width + 8).toFixed(1)}" y="${y + 17}">${value.toFixed(2)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif" font-size="13">
  <style>text { fill: #24292f } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }</style>
  <text x="10" y="26" font-size="15" font-weight="600">${escape(title)}</text>
${rows.join("\n")}
</svg>
`;
}
