/**
 * The CNI plugin: what the program is when a container runtime calls it. It hands the request to the agent and the answer back. That
 * a container goes needs no agent: it would otherwise never go while the agent is down.
 *
 * Light, since every container waits for it.
 *
 * @module
 */
import { askPatiently, startAgent } from "../core/container/ask.ts";
import {
  answerVersion,
  CNI_VARIABLES,
  CniCode,
  type CniEnvironment,
  CniError,
  errorDocument,
  stateDirOf,
  versionDocument,
} from "../core/container/cni/protocol.ts";
import { readInput, tell } from "./plugin_streams.ts";
import { seenAt } from "./seen_at.ts";

/** Answers the request in the environment and on standard input; resolves to the exit status. */
export async function runPlugin(): Promise<number> {
  const environment: Record<string, string> = {};
  for (const name of CNI_VARIABLES) {
    const value = Deno.env.get(name);
    if (value !== undefined) environment[name] = value;
  }
  const text = readInput();
  if (environment["CNI_COMMAND"] === "VERSION") return tell(versionDocument(), 0);
  let config: Config | undefined;
  try {
    config = JSON.parse(text) as Config;
  } catch {
    // The agent says what is wrong with it.
  }
  try {
    return await ask(environment, text, config);
  } catch (error) {
    const told = error instanceof CniError ? error : new CniError(
      CniCode.tryLater,
      `Cannot ask this host's agent: ${error instanceof Error ? error.message : error}`,
      "See that the runtime runs as root, and journalctl -u knet",
    );
    return tell(errorDocument(told, answerVersion(config)), 1);
  }
}

/** What of the network's configuration is for the plugin itself. */
interface Config {
  /** Where the agent has its socket, if not in /run/knet. */
  readonly stateDir?: unknown;
  /** Where the book of containers is, if not in /var/lib/knet. */
  readonly dataDir?: unknown;
}

async function ask(
  environment: CniEnvironment,
  text: string,
  config: Config | undefined,
): Promise<number> {
  const stateDir = stateDirOf(config?.stateDir);
  const command = environment.CNI_COMMAND ?? "";
  const removes = command === "DEL" || command === "GC";
  const { CNI_NETNS: netns = "" } = environment;
  const netnsSeen = command === "ADD" || command === "CHECK" ? await seenAt(netns) : undefined;
  const call = { environment, config: text, netnsSeen };
  const body = JSON.stringify(call);
  const answer = await askPatiently(stateDir, "/cni", body, command === "ADD");
  if (answer !== undefined) {
    if (answer.status === 200) return tell(answer.body, 0);
    if (answer.status === 422) return tell(answer.body, 1);
    throw new Error(`it answered ${answer.status}: ${answer.body.trim()}`);
  }
  if (!removes) {
    throw new CniError(
      command === "STATUS" ? CniCode.notAvailable : CniCode.tryLater,
      "Cannot attach containers on this host: knet's agent does not run",
      startAgent(stateDir),
    );
  }
  const { answerCni } = await import("../core/container/cni/serve.ts");
  const told = config?.dataDir;
  const dataDir = typeof told === "string" && told.startsWith("/") ? told : "/var/lib/knet";
  const { ok, document } = await answerCni({ stateDir, dataDir }, call);
  return tell(document, ok ? 0 : 1);
}
