/**
 * The picture of services of docs/performance.md: how the two ways grow with the number of services.
 *
 * @module
 */
import type { ModeFigures } from "./svc_iptables.ts";

interface Panel {
  readonly title: string;
  readonly of: (one: ModeFigures) => number;
  readonly label: (value: number) => string;
}

const milliseconds = (value: number) =>
  value < 1000
    ? `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
    : `${(value / 1000).toFixed(1)} s`;
const PANELS: readonly Panel[] = [
  { title: "Adding one more service", of: (one) => one.add, label: milliseconds },
  {
    title: "Connecting to the last service",
    of: (one) => one.connect / 1000,
    label: milliseconds,
  },
];
const WIDTH = 380;
const HEIGHT = 300;
const LEFT = 30;
const RIGHT = 65;
const TOP = 70;
const BOTTOM = 40;
const COLOURS = ["#2563eb", "#d97706", "#7c3aed"];

/** Draws the panels; the vertical axes are logarithmic. */
export function drawServices(results: readonly ModeFigures[], emulated: boolean): string {
  const modes = [...new Set(results.map(({ mode }) => mode))];
  const legend = modes.map((mode, index) => {
    const x = 10 + index * 210;
    const name = mode === "knet" ? "knet (IPVS)" : `${mode}, as kube-proxy`;
    return `  <circle cx="${x + 5}" cy="40" r="5" fill="${COLOURS[index]}"/>
  <text x="${x + 16}" y="44">${name}</text>`;
  });
  const panels = PANELS.map((panel, index) => draw(panel, results, modes, index * WIDTH));
  const width = WIDTH * PANELS.length;
  const where = emulated ? "in an emulated machine (logarithmic)" : "(logarithmic)";
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">
  <style>text { fill: #24292f } .axis { stroke: #8b949e } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }</style>
  <text x="10" y="22" font-size="15" font-weight="600">Services with two real servers each, ${where}</text>
${legend.join("\n")}
${panels.join("\n")}
</svg>
`;
}

function draw(
  panel: Panel,
  results: readonly ModeFigures[],
  modes: readonly string[],
  shift: number,
): string {
  const sizes = [...new Set(results.map(({ services }) => services))].sort((a, b) => a - b);
  const logs = results.map((one) => Math.log10(panel.of(one)));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const x = (services: number) =>
    shift + LEFT + sizes.indexOf(services) * (WIDTH - LEFT - RIGHT) / Math.max(1, sizes.length - 1);
  const y = (value: number) =>
    HEIGHT - BOTTOM - 12 -
    (Math.log10(value) - low) / (high - low || 1) * (HEIGHT - TOP - BOTTOM - 50);
  const lines = modes.map((mode, index) => {
    const points = results.filter((one) => one.mode === mode)
      .map((one) => `${x(one.services).toFixed(1)},${y(panel.of(one)).toFixed(1)}`);
    const colour = COLOURS[index];
    const path = `  <polyline points="${
      points.join(" ")
    }" fill="none" stroke="${colour}" stroke-width="2"/>`;
    const dots = points.map((point) => {
      const [cx, cy] = point.split(",");
      return `  <circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`;
    });
    return [path, ...dots].join("\n");
  });
  const labels = sizes.flatMap((services) => {
    let lowest = -Infinity;
    return results.filter((one) => one.services === services)
      .toSorted((a, b) => panel.of(b) - panel.of(a))
      .map((one) => {
        // Figures that are nearly the same are written one below the other.
        lowest = Math.max(lowest + 13, y(panel.of(one)) + 4);
        const at = `x="${(x(services) + 8).toFixed(1)}" y="${lowest.toFixed(1)}"`;
        const fill = `style="fill: ${COLOURS[modes.indexOf(one.mode)]}"`;
        return `  <text ${at} ${fill} font-size="11">${panel.label(panel.of(one))}</text>`;
      });
  });
  const base = HEIGHT - BOTTOM + 12;
  const ticks = sizes.map((services) =>
    `  <text x="${x(services).toFixed(1)}" y="${base + 18}" text-anchor="middle">${
      services.toLocaleString("en")
    }</text>`
  );
  return [
    `  <text x="${shift + 10}" y="${TOP}" font-weight="600">${panel.title}</text>`,
    `  <line class="axis" x1="${shift + 10}" y1="${base}" x2="${
      shift + WIDTH - 20
    }" y2="${base}"/>`,
    ...ticks,
    ...lines,
    ...labels,
  ].join("\n");
}
