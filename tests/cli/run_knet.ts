/**
 * Runs knet as a process, apart from the host's own settings.
 *
 * @module
 */
import { type CommandLine, exec, type Outcome, words } from "../support/exec.ts";
import { knetProgram } from "../support/host.ts";

/** A directory of a test, with a store in it. */
export interface Scratch extends AsyncDisposable {
  readonly path: string;
  /** Where its store, state and data are. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs knet with its store, state and data in the directory; any exit status is returned. */
  readonly knet: (line: CommandLine, env?: Record<string, string>) => Promise<Outcome>;
  /** The same with `--json`, parsed; the status must be 0. */
  readonly json: <T>(line: CommandLine) => Promise<T>;
}

/** Makes a directory for a test. */
export async function scratch(): Promise<Scratch> {
  const path = await Deno.makeTempDir({ prefix: "knet-cli-" });
  const env = {
    KNET_STORE: `sqlite:${path}/knet.db`,
    KNET_STATE_DIR: `${path}/run`,
    KNET_DATA_DIR: `${path}/data`,
  };
  const knet = (line: CommandLine, more: Record<string, string> = {}) =>
    exec([...knetProgram(), ...words(line)], { env: { ...env, ...more }, check: false });
  return {
    path,
    env,
    knet,
    json: async <T>(line: CommandLine) => {
      const outcome = await knet([...words(line), "--json"]);
      if (outcome.code !== 0) throw new Error(`exit status ${outcome.code}: ${outcome.stderr}`);
      return JSON.parse(outcome.stdout) as T;
    },
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
