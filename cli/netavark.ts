/**
 * The plugin of netavark: what the program is when podman calls it. It hands the question to the agent and the answer back. That a
 * container goes needs no agent.
 *
 * Light, since every container waits for it.
 *
 * @module
 */
import { askPatiently, startAgent } from "../core/container/ask.ts";
import {
  infoDocument,
  isNetavarkCommand,
  netavarkError,
  type NetavarkQuestion,
} from "../core/container/netavark/protocol.ts";
import { readInput, tell } from "./plugin_streams.ts";
import { seenAt } from "./seen_at.ts";
import { VERSION } from "./version.ts";

/** Answers podman; resolves to the exit status. `words`: folder of the agent's state, of its data, command, namespace. */
export async function runNetavark(words: readonly string[]): Promise<number> {
  const [stateDir = "/run/knet", dataDir = "/var/lib/knet", command = "", netns = ""] = words;
  if (command === "info") return tell(infoDocument(VERSION), 0);
  if (!isNetavarkCommand(command)) {
    return tell(netavarkError(`Cannot do "${command}": netavark's plugins do not`), 1);
  }
  try {
    const netnsSeen = command === "setup" ? await seenAt(netns) : undefined;
    return await ask({ stateDir, dataDir }, { command, netns, netnsSeen, input: readInput() });
  } catch (error) {
    const message = error instanceof Error ? error.message : `${error}`;
    return tell(
      netavarkError(
        `Cannot ask this host's agent: ${message}`,
        "See that podman runs as root, and journalctl -u knet",
      ),
      1,
    );
  }
}

async function ask(
  host: { readonly stateDir: string; readonly dataDir: string },
  question: NetavarkQuestion,
): Promise<number> {
  const { command } = question;
  const body = JSON.stringify(question);
  const answer = await askPatiently(host.stateDir, "/netavark", body, command === "setup");
  if (answer !== undefined) {
    if (answer.status === 200) return tell(answer.body, 0);
    if (answer.status === 422) return tell(answer.body, 1);
    throw new Error(`it answered ${answer.status}: ${answer.body.trim()}`);
  }
  if (command !== "teardown") {
    return tell(
      netavarkError(
        "Cannot attach containers on this host: knet's agent does not run",
        startAgent(host.stateDir),
      ),
      1,
    );
  }
  const { answerNetavark } = await import("../core/container/netavark/serve.ts");
  const { ok, document } = await answerNetavark(host, question);
  return tell(document, ok ? 0 : 1);
}
