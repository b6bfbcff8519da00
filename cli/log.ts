/**
 * Configures logging: text or JSON lines on standard error, nothing anywhere else.
 *
 * @module
 */
import { configure, getLogger } from "@logtape/logtape";
import type { LogRecord } from "@logtape/logtape";
import { hidePasswords } from "../core/base/secrets.ts";
import type { LogFormat, LogLevel } from "./log_levels.ts";
import { printError, wantsColor } from "./output.ts";

const TONES: Record<string, string> = {
  debug: "2",
  warning: "33",
  error: "31",
  fatal: "31",
};

function messageOfRecord(record: LogRecord): string {
  return record.message.map((part) => typeof part === "string" ? part : plain(part)).join("");
}

function plain(part: unknown): string {
  if (part instanceof Error) return part.message;
  if (typeof part === "object" && part !== null) return JSON.stringify(part);
  return String(part);
}

/** Errors lose all their fields to JSON.stringify otherwise. */
function serializable(_name: string, field: unknown): unknown {
  if (field instanceof Error) return { name: field.name, message: field.message };
  if (typeof field === "bigint") return field.toString();
  return field;
}

/**
 * One record as a line of text. Under systemd (`JOURNAL_STREAM`) the journal has the time already, and its
 * level prefix (sd-daemon(3)) makes `journalctl -p warning` work.
 */
export function formatText(
  record: LogRecord,
  options: { color: boolean; journal: boolean },
): string {
  const category = record.category.slice(1).join(".");
  const body = hidePasswords(
    (category === "" ? "" : `${category}: `) + messageOfRecord(record),
  );
  const level = record.level === "warning" ? "warn" : record.level;
  if (options.journal) {
    const priority = { trace: 7, debug: 7, info: 6, warning: 4, error: 3, fatal: 2 }[record.level];
    return body.split("\n").map((line) => `<${priority}>${line}`).join("\n");
  }
  const time = new Date(record.timestamp).toISOString().slice(0, 23).replace("T", " ");
  const tone = TONES[record.level];
  const painted = options.color && tone !== undefined
    ? `\x1b[${tone}m${level.padEnd(5)}\x1b[0m`
    : level.padEnd(5);
  return `${time} ${painted} ${body}`;
}

/** One record as a line of JSON. */
export function formatJson(record: LogRecord): string {
  return hidePasswords(JSON.stringify({
    time: new Date(record.timestamp).toISOString(),
    level: record.level === "warning" ? "warn" : record.level,
    category: record.category.join("."),
    message: messageOfRecord(record),
    ...(Object.keys(record.properties).length === 0 ? {} : { properties: record.properties }),
  }, serializable));
}

/** Starts logging to standard error. Called once, before anything logs. */
export async function startLogging(level: LogLevel, format: LogFormat): Promise<void> {
  const text = {
    color: wantsColor(Deno.stderr),
    // Shells inherit JOURNAL_STREAM from their session; only a service has both.
    journal: ["JOURNAL_STREAM", "NOTIFY_SOCKET"].every((name) => Deno.env.get(name) !== undefined),
  };
  await configure({
    reset: true,
    sinks: {
      stderr: (record: LogRecord) =>
        printError(format === "json" ? formatJson(record) : formatText(record, text)),
    },
    loggers: [
      {
        category: "knet",
        lowestLevel: level === "warn" ? "warning" : level,
        sinks: ["stderr"],
      },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["stderr"] },
    ],
  });
}

/** The logger of the command line itself. */
export function cliLogger(): ReturnType<typeof getLogger> {
  return getLogger(["knet", "cli"]);
}

/** Logs what should be known of a change that was made nevertheless. */
export function logWarnings(sentences: readonly string[]): void {
  for (const sentence of sentences) cliLogger().warn("{sentence}", { sentence });
}
