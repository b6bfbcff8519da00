/**
 * The agent's service: its settings in /etc/default/knet, and systemd, which is asked by systemctl(1), the one program that knet runs: its
 * way to the manager is private to it.
 *
 * @module
 */
import { monotonicClock, sleep } from "../core/base/clock.ts";
import { KnetError, messageOf } from "../core/base/error.ts";
import { readTextIfPresent, writeFileAtomically } from "../core/base/files.ts";
import { ENVIRONMENT_FILE, environmentOf } from "./unit_settings.ts";

/** Where the program is that may be run. */
const SYSTEMCTL = "/usr/bin/systemctl";
/** There if systemd is the init of this host (sd_booted(3)). */
const BOOTED = "/run/systemd/system";
const UNIT = "knet.service";
/** Milliseconds between looks at it, and for which nobody wonders. */
const [LOOK, SHORT] = [200, 3000];

/**
 * The text of a settings file with a variable set, or without it; other lines stay as they are.
 *
 * @param text The file before.
 * @param value Absent: none.
 */
export function withVariable(text: string, name: string, value?: string): string {
  const line = value === undefined ? [] : [`${name}=${quoted(value)}`];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const pattern = new RegExp(`^\\s*${name}=`);
  const kept = lines.filter((each) => !pattern.test(each));
  return [...kept, ...line, ""].join("\n");
}

/** A value as EnvironmentFile= takes it (systemd.exec(5)). */
function quoted(value: string): string {
  if (/^[A-Za-z0-9_./:@%+,=?&-]*$/.test(value)) return value;
  return value.includes("'") ? `"${value.replace(/["\\`$]/g, "\\$&")}"` : `'${value}'`;
}

/** Sets variables of the service; the file stays root's alone. */
export function setService(
  variables: Readonly<Record<string, string>>,
  path = ENVIRONMENT_FILE,
): void {
  const text = Object.entries(variables)
    .reduce(
      (text, [name, value]) => withVariable(text, name, value),
      readTextIfPresent(path) ?? "",
    );
  writeFileAtomically(path, text, 0o600);
}

/** Takes the store that this host held out of the service's settings; one that is somewhere else stays there. */
export function forgetOwnStore(path = ENVIRONMENT_FILE): void {
  const text = readTextIfPresent(path) ?? "";
  if (!environmentOf(text).get("KNET_STORE")?.startsWith("dqlite:")) return;
  writeFileAtomically(path, withVariable(text, "KNET_STORE"), 0o600);
}

/**
 * Refuses to go on without systemd, or for another user than root, whose the settings and the service are.
 *
 * @throws {KnetError} exit code 3.
 */
export function needSystemd(user: number | null = Deno.uid()): void {
  if (user !== 0) {
    throw new KnetError("Cannot set the service up: only root may", {
      exitCode: 3,
      remedy: "Run it as root (sudo knet up)",
    });
  }
  if (hasSystemd()) return;
  throw new KnetError("Cannot set the service up: this host does not run systemd", {
    exitCode: 3,
    remedy:
      "Run knet join, with the token if there is one, under whatever keeps programs running here",
  });
}

/** What systemd says of the unit (systemctl show). */
export interface UnitState {
  /** `active`, `activating`, `failed` and others. */
  readonly active: string;
  /** What the agent said last, empty if nothing. */
  readonly said: string;
  /** Another one at each start. */
  readonly invocation: string;
}

/** Reads what `systemctl show` prints. */
export function unitState(text: string): UnitState {
  const found = new Map(
    text.split("\n").map((line): [string, string] => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  return {
    active: found.get("ActiveState") ?? "",
    said: found.get("StatusText") ?? "",
    invocation: found.get("InvocationID") ?? "",
  };
}

/** How a service is waited for. */
export interface ServiceWait {
  /** Its settings changed: one that runs is started anew. */
  readonly restart: boolean;
  /** Milliseconds. */
  readonly patience: number;
  /** Told what the agent waits for, when that is long enough to be wondered about and whenever it is something else. */
  readonly onWait: (sentence: string) => void;
}

/**
 * Enables and starts the service, and waits until the agent is ready, see {@linkcode readyService}.
 *
 * @throws {KnetError} exit code 3 if this host has no such unit; else if the agent does not get ready, with what it said.
 */
export async function startService(wait: ServiceWait): Promise<void> {
  const { restart } = wait;
  if ((await systemctl(["cat", UNIT])).code !== 0) {
    throw new KnetError(`Cannot start the service: this host has no unit ${UNIT}`, {
      exitCode: 3,
      remedy: "Install knet's package, or put knet.service of the release into /etc/systemd/system",
    });
  }
  await must(["enable", "--quiet", UNIT]);
  const before = await stateOfUnit();
  if (before.active === "active" && !restart) return;
  await must([restart ? "restart" : "start", "--no-block", UNIT]);
  await readyService(before, wait, stateOfUnit);
}

/**
 * Waits until the agent is ready. One that ended and is started again by systemd is waited for, too: what it lacked may be there then.
 *
 * @param before The unit before it was started.
 * @param look Looks at the unit.
 * @throws {KnetError} if the agent does not get ready, with what it said.
 */
export async function readyService(
  before: UnitState,
  { restart, patience, onWait }: ServiceWait,
  look: () => Promise<UnitState>,
): Promise<void> {
  const begin = monotonicClock();
  for (let said = "", told: string | undefined;;) {
    await sleep(LOOK);
    const now = await look();
    const fresh = now.invocation !== before.invocation;
    if (now.said !== "" && (fresh || !restart)) said = now.said;
    // The unit is of Type=notify: it is active when the agent is ready. What is active may be the agent of before.
    if (now.active === "active" && (fresh || !restart)) return;
    const over = now.active === "failed" && fresh;
    const passed = monotonicClock() - begin;
    if (over || passed >= patience) {
      throw new KnetError(
        `Cannot start the service: the agent ${
          over ? "ended" : `is not ready after ${patience / 1000} s`
        }${said === "" ? "" : `: ${said}`}`,
        {
          remedy: over
            ? "See journalctl -u knet; then repeat knet up"
            : "See journalctl -u knet; it goes on trying, and knet up may be repeated",
        },
      );
    }
    if (said === told || passed < SHORT) continue;
    onWait(said);
    told = said;
  }
}

/**
 * Stops the service for good, so that systemd does not bring a host back that leaves.
 *
 * @returns whether there was something to stop; of hosts without systemd or without the unit there is not.
 * @throws {KnetError} if systemd does not.
 */
export async function endService(): Promise<boolean> {
  if (!hasSystemd()) return false;
  const { active } = await stateOfUnit();
  const runs = !["inactive", "failed", ""].includes(active);
  const enabled = (await systemctl(["is-enabled", "--quiet", UNIT])).code === 0;
  if (!runs && !enabled) return false;
  await must(["disable", "--quiet", "--now", UNIT], 90_000, "stop");
  return true;
}

/** Whether the service runs and is ready. */
export async function isActive(): Promise<boolean> {
  return hasSystemd() && (await stateOfUnit()).active === "active";
}

function hasSystemd(): boolean {
  return exists(BOOTED) && exists(SYSTEMCTL);
}

async function stateOfUnit(): Promise<UnitState> {
  const { out } = await systemctl([
    "show",
    "--property=ActiveState,StatusText,InvocationID",
    UNIT,
  ]);
  return unitState(out);
}

async function must(args: string[], patience = 30_000, what = "start"): Promise<void> {
  const { code, said } = await systemctl(args, patience);
  if (code === 0) return;
  throw new KnetError(
    `Cannot ${what} the service: ${
      code === undefined
        ? `systemctl ${args[0]} does not end`
        : said || `systemctl ${args[0]} failed`
    }`,
    { remedy: `See systemctl status ${UNIT}` },
  );
}

/** Runs systemctl; no code if it took too long. */
async function systemctl(
  args: string[],
  patience = 30_000,
): Promise<{ readonly code: number | undefined; readonly said: string; readonly out: string }> {
  const late = AbortSignal.timeout(patience);
  try {
    const { code, stdout, stderr, signal } = await new Deno.Command(SYSTEMCTL, {
      args: ["--no-ask-password", ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: late,
    }).output();
    const text = new TextDecoder();
    const said = text.decode(stderr).trim().split("\n")[0] ?? "";
    const ended = signal !== null && late.aborted ? undefined : code;
    return { code: ended, said, out: text.decode(stdout) };
  } catch (error) {
    if (late.aborted) return { code: undefined, said: "", out: "" };
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
