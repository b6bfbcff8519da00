/**
 * Reads what a runtime asks of the CNI plugin: environment variables and the network's configuration. Pure.
 *
 * @module
 */
import * as v from "valibot";
import { messageOf } from "../../base/error.ts";
import { checkShape } from "../../base/shape.ts";
import { CNI_VERSIONS, CniCode, type CniEnvironment, CniError } from "./protocol.ts";
import { ALL_WISHES, type CniWishes, NO_WISHES, readWishes } from "./wishes.ts";

/** The commands that are about a network, with what they need of the environment. */
const NEEDS = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  GC: [],
  STATUS: [],
} as const;

/** Versions that commands came with. */
const SINCE: Readonly<Partial<Record<keyof typeof NEEDS, string>>> = {
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
};

const versionNumber = (version: string) =>
  version.split(".").reduce((sum, part) => sum * 100 + Number(part), 0);

/** A command. */
export type CniCommand = keyof typeof NEEDS;

/** A result as a runtime hands it on: that of ADD, or of the plugins before in the chain. */
export interface PreviousResult {
  readonly interfaces?: readonly Readonly<Record<string, unknown>>[];
  readonly ips?: readonly (Readonly<Record<string, unknown>> & { readonly address: string })[];
  readonly routes?: readonly unknown[];
  readonly dns?: unknown;
}

/** What is asked. */
export interface CniRequest {
  readonly command: CniCommand;
  readonly cniVersion: string;
  /** Name of the network. */
  readonly network: string;
  /** Empty with GC and STATUS. */
  readonly containerId: string;
  readonly ifname: string;
  /** Path of the namespace; absent if it is gone. */
  readonly netns?: string;
  /** Empty with all but ADD. */
  readonly wishes: CniWishes;
  readonly previous?: PreviousResult;
  /** With GC: who is to stay. */
  readonly valid: readonly { readonly containerID: string; readonly ifname: string }[];
}

const CONFIG = v.looseObject({
  cniVersion: v.exactOptional(v.string()),
  name: v.pipe(v.string(), v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, "no name of a network")),
  prevResult: v.optional(v.nullable(v.looseObject({
    interfaces: v.exactOptional(v.array(v.looseObject({}))),
    ips: v.exactOptional(v.array(v.looseObject({ address: v.string() }))),
    routes: v.exactOptional(v.array(v.unknown())),
    dns: v.exactOptional(v.unknown()),
  }))),
  "cni.dev/valid-attachments": v.optional(
    v.nullable(v.array(v.looseObject({ containerID: v.string(), ifname: v.string() }))),
  ),
});

/**
 * Reads a request.
 *
 * @param config the configuration, parsed.
 * @throws {CniError} with the specification's code.
 */
export function readRequest(environment: CniEnvironment, config: unknown): CniRequest {
  const command = commandOf(environment);
  const parsed = configOf(CONFIG, config);
  const cniVersion = parsed.cniVersion ?? "0.1.0";
  if (!(CNI_VERSIONS as readonly string[]).includes(cniVersion)) {
    throw new CniError(
      CniCode.incompatibleVersion,
      `Cannot answer in version ${cniVersion} of CNI`,
      `knet speaks ${CNI_VERSIONS.join(", ")}`,
    );
  }
  const since = SINCE[command];
  if (since !== undefined && versionNumber(cniVersion) < versionNumber(since)) {
    throw new CniError(
      CniCode.incompatibleVersion,
      `Cannot do ${command} in version ${cniVersion} of CNI`,
      `It came with ${since}: raise the configuration's cniVersion`,
    );
  }
  const { CNI_CONTAINERID: containerId = "", CNI_IFNAME: ifname = "", CNI_NETNS: netns } =
    environment;
  const { prevResult } = parsed;
  return {
    command,
    cniVersion,
    network: parsed.name,
    containerId,
    ifname,
    ...(netns ? { netns } : {}),
    // What was given to a container that goes is in the book; what makes no sense must not keep it from going.
    wishes: command === "ADD"
      ? readWishes(configOf(ALL_WISHES, config), environment.CNI_ARGS)
      : NO_WISHES,
    ...(prevResult && { previous: prevResult }),
    valid: parsed["cni.dev/valid-attachments"] ?? [],
  };
}

function commandOf(environment: CniEnvironment): CniCommand {
  const command = environment.CNI_COMMAND ?? "";
  if (!Object.hasOwn(NEEDS, command)) {
    throw new CniError(CniCode.invalidEnvironment, `Cannot do CNI_COMMAND "${command}"`);
  }
  for (const name of NEEDS[command as CniCommand]) {
    if (environment[name]) continue;
    throw new CniError(CniCode.invalidEnvironment, `Cannot do ${command}: ${name} is missing`);
  }
  const { CNI_CONTAINERID: id = "", CNI_IFNAME: ifname = "" } = environment;
  if (id !== "" && !/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,255}$/.test(id)) {
    throw new CniError(
      CniCode.invalidEnvironment,
      `Cannot do ${command}: CNI_CONTAINERID "${id}" is no id`,
    );
  }
  if (
    ifname !== "" && (/[\s/:]/.test(ifname) || [".", ".."].includes(ifname) || ifname.length > 15)
  ) {
    throw new CniError(
      CniCode.invalidEnvironment,
      `Cannot do ${command}: CNI_IFNAME "${ifname}" is no interface name`,
    );
  }
  return command as CniCommand;
}

function configOf<T>(schema: v.GenericSchema<unknown, T>, config: unknown): T {
  try {
    return checkShape(schema, config);
  } catch (error) {
    throw new CniError(
      CniCode.invalidConfig,
      `Cannot read the network's configuration: ${messageOf(error)}`,
    );
  }
}
