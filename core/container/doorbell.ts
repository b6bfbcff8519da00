/**
 * How the script of a plugin asks the agent without starting the program: names and form of what lies in a folder that is root's alone.
 * The program takes longer to start than the agent to answer. Pure.
 *
 * Only who has the host's processes and mounts may ask so: to anybody else a namespace's path may mean another one, which the program
 * tells the agent. Who sees in the agent's process the bell that it has before it has the agent's processes.
 *
 * The agent keeps *slots* ready there, named pipes `NAME.wait` that it has open. A script takes one by making `NAME.ask`, which nobody
 * else can then make, writes its question into it, opens the slot's pipe for reading, and writes NAME as a line into the pipe `bell`. The
 * agent takes the slot's name away, writes the answer into the question's file, behind the question, and the exit status as a line into
 * the slot's pipe; then the question's name goes, too, and who has it open still reads it. Whatever ends before, the agent or its patience,
 * ends the pipe without a line: the script then starts the program.
 *
 * @module
 */
import { CNI_VARIABLES, stateDirOf } from "./cni/protocol.ts";
import { isNetavarkCommand } from "./netavark/protocol.ts";

/** What of a slot's name says what the file is. */
export const DOORBELL = {
  bell: "bell",
  /** Holds the agent's process and its descriptor of the bell. */
  agent: "agent",
  wait: ".wait",
  ask: ".ask",
  /** What a question ends with: one that is half-written does not. */
  end: "\n.\n",
} as const;

/** The folder. */
export function doorbellFolder(stateDir: string): string {
  return `${stateDir}/doorbell`;
}

/** What the agent's socket would be asked: path and body. */
export interface Errand {
  readonly path: "/cni" | "/netavark";
  readonly body: string;
}

/**
 * Reads a question: a line with the plugin's kind, one each for what the runtime said of the container, then the runtime's input.
 *
 * @param stateDir the agent's own.
 * @returns undefined if it makes no sense, or is for another agent: the program knows what to do with it.
 */
export function readErrand(text: string, stateDir: string): Errand | undefined {
  if (!text.endsWith(DOORBELL.end)) return undefined;
  const [kind, ...lines] = text.slice(0, -DOORBELL.end.length).split("\n");
  const inputFrom = (count: number) =>
    lines.length > count ? lines.slice(count).join("\n") : undefined;
  if (kind === "cni") {
    const config = inputFrom(CNI_VARIABLES.length);
    if (config === undefined || stateDirIn(config) !== stateDir) return undefined;
    const told = CNI_VARIABLES.map((name, n) => [name, lines[n]!] as const);
    const environment = Object.fromEntries(told.filter(([, value]) => value !== ""));
    return { path: "/cni", body: JSON.stringify({ environment, config }) };
  }
  if (kind === "netavark") {
    const [command = "", netns = ""] = lines;
    const input = inputFrom(2);
    if (input === undefined || !isNetavarkCommand(command)) return undefined;
    return { path: "/netavark", body: JSON.stringify({ command, netns, input }) };
  }
  return undefined;
}

function stateDirIn(config: string): string {
  try {
    return stateDirOf((JSON.parse(config) as { stateDir?: unknown } | null)?.stateDir);
  } catch {
    return stateDirOf(undefined); // As the program does, too; who answers says what is wrong with it.
  }
}
