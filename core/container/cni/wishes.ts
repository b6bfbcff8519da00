/**
 * What a runtime wants a container to have, and in which of its ways it says so. Pure.
 *
 * @module
 */
import * as v from "valibot";
import { canonicalAddress } from "../../base/address.ts";
import { KnetError, messageOf } from "../../base/error.ts";
import { type Bandwidth, bandwidthOf, type BandwidthRequest } from "../bandwidth.ts";
import { isContainerName } from "../../cluster/cluster_container.ts";
import { expandPorts } from "../port_request.ts";
import { type ContainerNames, isMac, NAMESPACE_LABEL, type PortMapping } from "../record.ts";
import { CniCode, CniError } from "./protocol.ts";

/** What a container is to have. */
export interface CniWishes {
  readonly ip?: string;
  readonly mac?: string;
  readonly names: ContainerNames;
  readonly ports: readonly PortMapping[];
  readonly bandwidth?: Bandwidth;
}

/** Nothing. */
export const NO_WISHES: CniWishes = { names: {}, ports: [] };

/**
 * An object whose keys are taken in any case, as Go's plugins take them: containerd and nerdctl say `HostPort` where the conventions
 * have `hostPort`.
 */
function inAnyCase<E extends v.ObjectEntries>(entries: E) {
  const known = new Map(Object.keys(entries).map((key) => [key.toLowerCase(), key]));
  const rename = (object: Record<string, unknown>) => {
    const renamed = Object.entries(object).map(([key, value]) =>
      [known.get(key.toLowerCase()) ?? key, value] as const
    );
    // What is written as it should be counts.
    const exact = Object.entries(object).filter(([key]) => Object.hasOwn(entries, key));
    return Object.fromEntries([...renamed, ...exact]);
  };
  return v.pipe(v.record(v.string(), v.unknown()), v.transform(rename), v.looseObject(entries));
}

const TEXTS = v.array(v.string());
const BITS = v.optional(v.nullable(v.number()));
const PORT = inAnyCase({
  hostPort: v.number(),
  containerPort: v.number(),
  protocol: v.optional(v.string()),
  hostIP: v.optional(v.string()),
});
/** In the configuration itself as in what the runtime says of one container, which counts. */
const BANDWIDTH = {
  ingressRate: BITS,
  ingressBurst: BITS,
  egressRate: BITS,
  egressBurst: BITS,
};

/** The fields of a configuration that tell of it, as their schema. */
export const ALL_WISHES = v.looseObject({
  ...BANDWIDTH,
  runtimeConfig: v.optional(v.looseObject({
    ips: v.optional(v.nullable(TEXTS)),
    mac: v.optional(v.string()),
    // The conventions say a list; podman tells it by network.
    aliases: v.optional(v.nullable(v.union([TEXTS, v.record(v.string(), v.nullable(TEXTS))]))),
    portMappings: v.optional(v.nullable(v.array(PORT))),
    bandwidth: v.optional(v.nullable(inAnyCase(BANDWIDTH))),
  })),
  args: v.optional(v.looseObject({
    cni: v.optional(v.looseObject({
      ips: v.optional(TEXTS),
      labels: v.optional(v.array(v.looseObject({ key: v.string(), value: v.string() }))),
    })),
  })),
});

/**
 * Reads what a container is to have.
 *
 * @param said CNI_ARGS.
 * @throws {CniError} with the specification's code.
 */
export function readWishes(
  config: v.InferOutput<typeof ALL_WISHES>,
  said?: string,
): CniWishes {
  const { runtimeConfig, args } = config;
  const told = argsOf(said);
  const ip = addressOf([
    ...runtimeConfig?.ips ?? [],
    ...args?.cni?.ips ?? [],
    ...told.get("IP")?.split(",") ?? [],
  ]);
  const mac = macOf(runtimeConfig?.mac || told.get("MAC"));
  const bandwidth = limitsOf(runtimeConfig?.bandwidth ?? config);
  return {
    ...(ip !== undefined && { ip }),
    ...(mac !== undefined && { mac }),
    names: namesOf(told, aliasesOf(runtimeConfig?.aliases), args?.cni?.labels ?? []),
    ports: portsOf(runtimeConfig?.portMappings ?? []),
    ...(bandwidth !== undefined && { bandwidth }),
  };
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

function limitsOf(
  asked: BandwidthRequest,
): Bandwidth | undefined {
  try {
    return bandwidthOf(asked);
  } catch (error) {
    throw new CniError(
      CniCode.invalidConfig,
      messageOf(error),
      "Give both a rate and a burst of a direction, in bits, or neither",
    );
  }
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

function portsOf(asked: readonly v.InferOutput<typeof PORT>[]): readonly PortMapping[] {
  try {
    return expandPorts(
      asked.map(({ hostIP, ...rest }) => ({ ...rest, hostIp: hostIP })),
    );
  } catch (error) {
    throw new CniError(
      CniCode.invalidConfig,
      messageOf(error),
      error instanceof KnetError ? error.remedy : undefined,
    );
  }
}
