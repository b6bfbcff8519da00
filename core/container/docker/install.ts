/**
 * Makes knet known to Docker, and makes the network; takes both back.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { KnetError, messageOf } from "../../base/error.ts";
import { readTextIfPresent, removeIfPresent, writeFileAtomically } from "../../base/files.ts";
import { parseShape } from "../../base/shape.ts";
import { readNodeState } from "../../cluster/node_state.ts";
import { askOver } from "../ask.ts";
import { refuseAnothers } from "../another_knet.ts";
import { DOCKER_DRIVER, networkRequest, specState, specText } from "./network.ts";

/** What is to be installed. */
export interface DockerOptions {
  /** Name of the network. */
  readonly network: string;
  /** Docker's own socket. */
  readonly socket: string;
  /** Folder in which Docker looks for drivers. */
  readonly specDir: string;
  readonly stateDir: string;
  readonly dataDir: string;
}

/** Where they are by default. */
export const DOCKER_PLACES = { socket: "/run/docker.sock", spec: "/etc/docker/plugins" } as const;

/** What was installed. */
export interface DockerResult {
  readonly network: string;
  readonly spec: string;
  /** "made": just now; "present": it was there, and is as it should be. */
  readonly how: "made" | "present";
}

const INSTALLED = v.looseObject({ spec: v.string(), network: v.string(), socket: v.string() });
const FAULT = v.looseObject({ message: v.string() });
const NETWORK = v.looseObject({
  Options: v.optional(v.nullable(v.record(v.string(), v.string()))),
  IPAM: v.looseObject({
    Driver: v.string(),
    Config: v.nullable(v.array(v.looseObject({ Subnet: v.optional(v.string()) }))),
  }),
});

const recordFile = (dataDir: string) => join(dataDir, "installed-docker.json");

/**
 * Installs.
 *
 * @throws {KnetError} exit code 4 if Docker has another network of that name, 3 if Docker does not run, 1 if it refuses.
 */
export async function installDocker(options: DockerOptions): Promise<DockerResult> {
  const { network, socket, specDir, stateDir, dataDir } = options;
  const state = readNodeState(stateDir);
  if (state === undefined) {
    throw new KnetError("Cannot make Docker's network: this host has not joined the cluster", {
      remedy: "Start the agent and wait until it is ready: knet join",
    });
  }
  const spec = join(specDir, `${DOCKER_DRIVER}.spec`);
  // Only what is knet's is recorded: what is recorded goes when this host leaves.
  const place = () => {
    const record = JSON.stringify({ spec, network, socket }, null, 2) + "\n";
    writeFileAtomically(recordFile(dataDir), record, 0o600, 0o700);
    writeFileAtomically(spec, specText(stateDir));
  };
  const own = readRecord(dataDir);
  refuseAnothers({ path: spec, stateOf: specState, option: "--spec-dir" }, stateDir, own?.spec);
  const present = await ask(socket, "GET", `/networks/${network}`);
  if (present.status === 200) {
    const { IPAM: ipam } = parseShape(NETWORK, present.body);
    const fits = ipam.Driver === DOCKER_DRIVER && ipam.Config?.[0]?.Subnet === state.subnet;
    if (fits) {
      place();
      return { network, spec, how: "present" };
    }
    throw new KnetError(
      `Cannot make Docker's network "${network}": there is one, ${
        ipam.Driver === DOCKER_DRIVER
          ? `of ${ipam.Config?.[0]?.Subnet}, and this host has ${state.subnet} now`
          : "not by knet"
      }`,
      {
        exitCode: 4,
        remedy: `Remove it (docker network rm ${network}), or choose another name with --name`,
      },
    );
  }
  place();
  const made = await ask(
    socket,
    "POST",
    "/networks/create",
    JSON.stringify(networkRequest(network, state)),
  );
  if (made.status === 201) return { network, spec, how: "made" };
  throw new KnetError(`Cannot make Docker's network "${network}": ${faultOf(made.body)}`, {
    remedy: "See that knet's agent runs (knet status), and Docker's log",
  });
}

/** Takes back what was installed; what Docker does not let go, containers of it still use. Returns sentences about that. */
export async function removeDocker(dataDir: string): Promise<string[]> {
  const text = readTextIfPresent(recordFile(dataDir));
  if (text === undefined) return [];
  const problems: string[] = [];
  try {
    const { spec, network, socket } = parseShape(INSTALLED, text);
    try {
      const present = await ask(socket, "GET", `/networks/${network}`);
      // Somebody may have made one of his own by that name.
      if (present.status === 200 && isOurs(present.body)) {
        const { status, body } = await ask(socket, "DELETE", `/networks/${network}`);
        if (status >= 300 && status !== 404) {
          problems.push(`Docker keeps its network "${network}": ${faultOf(body)}`);
        }
      }
    } catch (error) {
      problems.push(messageOf(error));
    }
    if (spec.endsWith(`/${DOCKER_DRIVER}.spec`)) removeIfPresent(spec);
  } catch (error) {
    problems.push(messageOf(error));
  }
  removeIfPresent(recordFile(dataDir));
  return problems;
}

function isOurs(body: string): boolean {
  try {
    return parseShape(NETWORK, body).IPAM.Driver === DOCKER_DRIVER;
  } catch {
    return false;
  }
}

/** What was installed, as far as it can be read. */
export function readInstalledDocker(
  dataDir: string,
): { readonly network: string; readonly socket: string } | undefined {
  return readRecord(dataDir);
}

function readRecord(dataDir: string): v.InferOutput<typeof INSTALLED> | undefined {
  const text = readTextIfPresent(recordFile(dataDir));
  if (text === undefined) return undefined;
  try {
    return parseShape(INSTALLED, text);
  } catch {
    return undefined; // Written atomically, so a foreign hand has had it.
  }
}

async function ask(socket: string, method: string, path: string, body = "") {
  let why = "it does not run";
  try {
    const answer = await askOver(socket, method, path, body);
    if (answer !== undefined) return answer;
  } catch (error) {
    why = messageOf(error);
  }
  throw new KnetError(`Cannot ask Docker at "${socket}": ${why}`, {
    exitCode: 3,
    remedy: "Start it, or name its socket with --docker-socket",
  });
}

function faultOf(body: string): string {
  try {
    return parseShape(FAULT, body).message;
  } catch {
    return body.trim().slice(0, 500);
  }
}
