/**
 * `knet doctor`: what is missing or wrong on this host, and the remedy.
 *
 * @module
 */
import type { DoctorReport } from "../core/inspect/doctor/doctor.ts";
import { defineCommand } from "./command.ts";
import { storeUrlOf } from "./store.ts";
import { paint, print, printJson } from "./output.ts";
import type { Tone } from "./output.ts";

/** How each result is marked. */
const MARKS: Record<string, readonly [word: string, tone: Tone]> = {
  ok: ["ok", "good"],
  warn: ["warn", "warn"],
  fail: ["FAIL", "bad"],
  skip: ["skip", "dim"],
};

/** The command. */
export const doctor = defineCommand({
  name: "doctor",
  summary: "Find what is missing or wrong on this host",
  about: [
    "Looks at libraries, kernel features, privileges, firewall, forwarding, conflicting devices and routes, and the store. Changes nothing. " +
    "The exit status is 3 if anything is wrong that keeps knet from working.",
  ],
  words: [],
  options: {},
  examples: [
    { line: "knet doctor", about: "before the first join, and when something does not work" },
    { line: "knet doctor --json", about: "for a report" },
  ],
  run: async ({ settings }) => {
    const { runDoctor } = await import("../core/inspect/doctor/doctor.ts");
    const report = await runDoctor({
      storeUrl: () => storeUrlOf(settings),
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
    });
    if (settings.json) printJson(report);
    else print(doctorText(report));
    return report.checks.some(({ status }) => status === "fail") ? 3 : 0;
  },
});

/** The report for people: every check a line, remedies below what is wrong. */
export function doctorText(report: DoctorReport): string {
  const lines = report.checks.map(({ check, status, detail, remedy }) => {
    const [word, tone] = MARKS[status] ?? [status, "dim"];
    const advice = remedy === undefined || status === "ok" ? "" : `\n      ${remedy}`;
    return `${paint(tone, word.padEnd(4))}  ${check}: ${detail}${advice}`;
  });
  const wrong = report.checks.filter(({ status }) => status === "fail").length;
  const doubtful = report.checks.filter(({ status }) => status === "warn").length;
  const verdict = wrong > 0
    ? paint("bad", `${wrong} of ${report.checks.length} checks failed`)
    : doubtful > 0
    ? paint("warn", `knet can work here; ${doubtful} of ${report.checks.length} checks warn`)
    : paint("good", "knet can work here");
  return `${lines.join("\n")}\n\n${verdict}`;
}
