/**
 * Reads what a runtime asks of the CNI plugin: environment variables and the network's configuration. Pure.
 *
 * @module
 */
import * as v from "valibot";
import { canonicalAddress } from "../../base/address.ts";
import { messageOf } from "../../base/error.ts";
import { checkShape } from "../../base/shape.ts";
import { isContainerName } from "../../cluster/cluster_container.ts";
import { type ContainerNames, isMac, NAMESPACE_LABEL, type PortMapping } from "../record.ts";
import { CNI_VERSIONS, CniCode, type CniEnvironment, CniError } from "./protocol.ts";

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
  readonly ip?: string;
  readonly mac?: string;
  readonly names: ContainerNames;
  readonly ports: readonly PortMapping[];
  readonly previous?: PreviousResult;
  /** With GC: who is to stay. */
  readonly valid: readonly { readonly containerID: string; readonly ifname: string }[];
}

const TEXTS = v.array(v.string());
const CONFIG = v.looseObject({
  cniVersion: v.exactOptional(v.string()),
  name: v.pipe(v.string(), v.regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, "no name of a network")),
  prevResult: v.optional(v.nullable(v.looseObject({
    interfaces: v.exactOptional(v.array(v.looseObject({}))),
    ips: v.exactOptional(v.array(v.looseObject({ address: v.string() }))),
    routes: v.exactOptional(v.array(v.unknown())),
    dns: v.exactOptional(v.unknown()),
  }))),
  runtimeConfig: v.optional(v.looseObject({
    ips: v.optional(v.nullable(TEXTS)),
    mac: v.optional(v.string()),
    // The conventions say a list; podman tells it by network.
    aliases: v.optional(v.nullable(v.union([TEXTS, v.record(v.string(), v.nullable(TEXTS))]))),
    portMappings: v.optional(v.nullable(v.array(v.looseObject({
      hostPort: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535)),
      containerPort: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535)),
      protocol: v.optional(v.string()),
      hostIP: v.optional(v.string()),
    })))),
  })),
  args: v.optional(v.looseObject({
    cni: v.optional(v.looseObject({
      ips: v.optional(TEXTS),
      labels: v.optional(v.array(v.looseObject({ key: v.string(), value: v.string() }))),
    })),
  })),
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
  const parsed = configOf(config);
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
  const { runtimeConfig, args, prevResult } = parsed;
  const said = argsOf(environment.CNI_ARGS);
  const ip = addressOf([
    ...runtimeConfig?.ips ?? [],
    ...args?.cni?.ips ?? [],
    ...said.get("IP")?.split(",") ?? [],
  ]);
  const mac = macOf(runtimeConfig?.mac || said.get("MAC"));
  return {
    command,
    cniVersion,
    network: parsed.name,
    containerId,
    ifname,
    ...(netns ? { netns } : {}),
    ...(ip !== undefined && { ip }),
    ...(mac !== undefined && { mac }),
    names: namesOf(said, aliasesOf(runtimeConfig?.aliases), args?.cni?.labels ?? []),
    ports: (runtimeConfig?.portMappings ?? []).map(portOf),
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

function configOf(config: unknown): v.InferOutput<typeof CONFIG> {
  try {
    return checkShape(CONFIG, config);
  } catch (error) {
    throw new CniError(
      CniCode.invalidConfig,
      `Cannot read the network's configuration: ${messageOf(error)}`,
    );
  }
}

/** CNI_ARGS: `KEY=VALUE;…`. */
function argsOf(text = ""): Map<string, string> {
  return new Map(
    text.split(";").flatMap((pair) => {
      const at = pair.indexOf("=");
      return at < 1 ? [] : [[pair.slice(0, at), pair.slice(at + 1)] as const];
    }),
  );
}

/** The one address that is asked for; it may have a prefix length. */
function addressOf(asked: readonly string[]): string | undefined {
  const addresses = new Set(
    asked.filter((text) => text !== "").map((text) => {
      try {
        return canonicalAddress(text.replace(/\/\d+$/, ""));
      } catch (error) {
        throw new CniError(CniCode.invalidConfig, messageOf(error));
      }
    }),
  );
  if (addresses.size > 1) {
    throw new CniError(
      CniCode.unsupportedField,
      `Cannot give one interface ${addresses.size} addresses: ${[...addresses].join(", ")}`,
      "Ask for one",
    );
  }
  return [...addresses][0];
}

function macOf(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  const mac = text.toLowerCase();
  if (isMac(mac)) return mac;
  throw new CniError(
    CniCode.invalidConfig,
    `Cannot give an interface the MAC address "${text}": it is none of a single interface`,
  );
}

function aliasesOf(
  aliases:
    | readonly string[]
    | Readonly<Record<string, readonly string[] | null>>
    | null
    | undefined,
): readonly string[] {
  if (!aliases) return [];
  return Array.isArray(aliases)
    ? aliases
    : Object.values(aliases as Record<string, readonly string[] | null>).flatMap((one) =>
      one ?? []
    );
}

/** A name that cannot be one is not worth failing for. */
function namesOf(
  said: ReadonlyMap<string, string>,
  aliases: readonly string[],
  labels: readonly { readonly key: string; readonly value: string }[],
): ContainerNames {
  const name = [said.get("K8S_POD_NAME"), ...aliases].find((one) => one && isContainerName(one));
  const space = said.get("K8S_POD_NAMESPACE");
  const all = Object.fromEntries([
    ...(space ? [[NAMESPACE_LABEL, space]] : []),
    ...labels.map(({ key, value }) => [key, value]),
  ]) as Record<string, string>;
  return {
    ...(name !== undefined && { name }),
    ...(Object.keys(all).length > 0 && { labels: all }),
  };
}

function portOf(
  { hostPort, containerPort, protocol, hostIP }: {
    hostPort: number;
    containerPort: number;
    protocol?: string | undefined;
    hostIP?: string | undefined;
  },
): PortMapping {
  const word = (protocol || "tcp").toLowerCase();
  if (word !== "tcp" && word !== "udp" && word !== "sctp") {
    throw new CniError(CniCode.invalidConfig, `Cannot publish a port of protocol "${protocol}"`);
  }
  return { hostPort, containerPort, protocol: word, ...(hostIP ? { hostIp: hostIP } : {}) };
}
