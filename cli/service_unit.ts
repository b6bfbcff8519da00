/**
 * The agent's service: its settings in /etc/default/knet, and systemd, which is asked by systemctl(1), the one program that knet runs: its
 * way to the manager is private to it.
 *
 * @module
 */
import { KnetError, messageOf } from "../core/base/error.ts";
import { readTextIfPresent, writeFileAtomically } from "../core/base/files.ts";
import { ENVIRONMENT_FILE, environmentOf } from "./unit_settings.ts";

/** Where the program is that may be run. */
const SYSTEMCTL = "/usr/bin/systemctl";
/** There if systemd is the init of this host (sd_booted(3)). */
const BOOTED = "/run/systemd/system";
const UNIT = "knet.service";

/**
 * The text of a settings file with a variable set; other lines stay as they are.
 *
 * @param text The file before.
 */
export function withVariable(text: string, name: string, value: string): string {
  const line = `${name}=${quoted(value)}`;
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const pattern = new RegExp(`^\\s*${name}=`);
  const kept = lines.filter((each) => !pattern.test(each));
  return [...kept, line, ""].join("\n");
}

/** A value as EnvironmentFile= takes it (systemd.exec(5)). */
function quoted(value: string): string {
  return /^[A-Za-z0-9_./:@%+,=?&-]*$/.test(value) ? value : `'${value}'`;
}

/** The store that the service is set up with, undefined if none is. */
export function storeOfService(path = ENVIRONMENT_FILE): string | undefined {
  return environmentOf(readTextIfPresent(path) ?? "").get("KNET_STORE") || undefined;
}

/** Sets the service up with a store; the file stays root's alone. */
export function setStoreOfService(url: string, path = ENVIRONMENT_FILE): void {
  writeFileAtomically(path, withVariable(readTextIfPresent(path) ?? "", "KNET_STORE", url), 0o600);
}

/**
 * Refuses to go on without systemd.
 *
 * @throws {KnetError} exit code 3.
 */
export function needSystemd(): void {
  if (exists(BOOTED) && exists(SYSTEMCTL)) return;
  throw new KnetError("Cannot set the service up: this host does not run systemd", {
    exitCode: 3,
    remedy:
      "Run knet join, with the token if there is one, under whatever keeps programs running here",
  });
}

/**
 * Enables and starts the service, and waits until the agent is ready.
 *
 * @param restart Its settings changed: one that runs is started anew.
 * @param patience Milliseconds.
 * @throws {KnetError} exit code 3 if this host has no such unit; else if the agent does not get ready, with what to look at.
 */
export async function startService(restart: boolean, patience: number): Promise<void> {
  if ((await systemctl(["cat", UNIT])).code !== 0) {
    throw new KnetError(`Cannot start the service: this host has no unit ${UNIT}`, {
      exitCode: 3,
      remedy: "Install knet's package, or put knet.service of the release into /etc/systemd/system",
    });
  }
  await must(["enable", "--quiet", UNIT]);
  const active = (await systemctl(["is-active", "--quiet", UNIT])).code === 0;
  if (active && !restart) return;
  // The unit is of Type=notify: starting it ends when the agent is ready.
  await must([active ? "restart" : "start", UNIT], patience);
}

async function must(args: string[], patience = 30_000): Promise<void> {
  const { code, said } = await systemctl(args, patience);
  if (code === 0) return;
  throw new KnetError(
    `Cannot start the service: ${
      code === undefined
        ? `the agent is not ready after ${patience / 1000} s`
        : said || `systemctl ${args[0]} failed`
    }`,
    { remedy: "See journalctl -u knet; it goes on trying, and knet up may be repeated" },
  );
}

/** Runs systemctl; no code if it took too long. */
async function systemctl(
  args: string[],
  patience = 30_000,
): Promise<{ readonly code: number | undefined; readonly said: string }> {
  const late = AbortSignal.timeout(patience);
  try {
    const { code, stderr, signal } = await new Deno.Command(SYSTEMCTL, {
      args: ["--no-ask-password", ...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      signal: late,
    }).output();
    const said = new TextDecoder().decode(stderr).trim().split("\n")[0] ?? "";
    return { code: signal !== null && late.aborted ? undefined : code, said };
  } catch (error) {
    if (late.aborted) return { code: undefined, said: "" };
    throw new KnetError(`Cannot run ${SYSTEMCTL}: ${messageOf(error)}`, { cause: error });
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
