/**
 * Flannel's net-conf.json (flannel's Documentation/configuration.md and backends.md), read key by key: what knet has no counterpart
 * for is refused where hosts would be left out, and said where they are not.
 *
 * @module
 */
import { KnetError, messageOf } from "../base/error.ts";

/** What the file says of the cluster, in knet's words. */
export interface FlannelNetwork {
  readonly network: string;
  readonly subnetLen?: number;
  readonly subnetMin?: string;
  readonly subnetMax?: string;
  readonly backend: {
    /** One that knet has, by its own word for it; else as the file says. */
    readonly type: string;
    readonly vni?: number;
    readonly port?: number;
    readonly directRouting?: boolean;
    readonly mtu?: number;
  };
  /** What of the file has no effect, a sentence each. */
  readonly warnings: readonly string[];
}

type Kind = "text" | "number" | "boolean" | "object";

/** Keys of the file itself. */
const KEYS: Readonly<Record<string, Kind>> = {
  Network: "text",
  SubnetLen: "number",
  SubnetMin: "text",
  SubnetMax: "text",
  EnableIPv4: "boolean",
  EnableIPv6: "boolean",
  EnableNFTables: "boolean",
  IPv6Network: "text",
  IPv6SubnetLen: "number",
  IPv6SubnetMin: "text",
  IPv6SubnetMax: "text",
  Backend: "object",
};

/** Keys of each backend that knet has; the same key is of the same kind everywhere. */
const BACKEND_KEYS: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  vxlan: {
    VNI: "number",
    Port: "number",
    MTU: "number",
    DirectRouting: "boolean",
    GBP: "boolean",
    Learning: "boolean",
    MacPrefix: "text",
  },
  "host-gw": { MTU: "number" },
  udp: { Port: "number", MTU: "number" },
};

const REMEDY = "Give the net-conf.json that flannel uses";

function refuse(state: string, remedy = REMEDY): KnetError {
  return new KnetError(`Cannot use flannel's configuration: ${state}`, { exitCode: 2, remedy });
}

/** An object's values by the keys that are known, whose letters' case does not matter: Go reads JSON so. Null is as good as nothing. */
function readKeys(
  object: object,
  keys: Readonly<Record<string, Kind>>,
  path: string,
): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [given, value] of Object.entries(object)) {
    const key = Object.keys(keys).find((one) => one.toLowerCase() === given.toLowerCase());
    if (key === undefined) {
      throw refuse(
        `it has an unknown key "${path}${given}"`,
        `Correct it, or take it out; there are ${Object.keys(keys).join(", ")}`,
      );
    }
    if (found.has(key)) throw refuse(`it has "${path}${key}" twice`, "Take one of them out");
    if (value === null) continue;
    if (!isOfKind(value, keys[key]!)) {
      const wanted = {
        text: "a text",
        number: "a whole number",
        boolean: "true or false, without quotation marks",
        object: "an object",
      }[keys[key]!];
      throw refuse(
        `"${path}${key}" is ${JSON.stringify(value)?.slice(0, 60)}`,
        `Give ${wanted} as "${path}${key}"`,
      );
    }
    found.set(key, value);
  }
  return found;
}

function isOfKind(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "number":
      return Number.isSafeInteger(value);
    case "boolean":
      return typeof value === "boolean";
    case "object":
      return typeof value === "object" && !Array.isArray(value);
  }
}

/**
 * Reads a net-conf.json. Addresses and numbers are not checked beyond their kind.
 *
 * @throws {KnetError} exit code 2 if the text is none, has a key that is unknown or of another kind, or asks for IPv6.
 */
export function readNetConf(text: string): FlannelNetwork {
  let document: unknown;
  try {
    document = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new KnetError(`Cannot read flannel's configuration: ${messageOf(error)}`, {
      exitCode: 2,
      remedy: REMEDY,
    });
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw refuse("it has no Network");
  }
  const conf = readKeys(document, KEYS, "");
  const warnings: string[] = [];
  refuseIPv6(conf, warnings);
  const network = conf.get("Network");
  if (network === undefined) throw refuse("it has no Network");
  if (conf.get("EnableNFTables") === false) {
    warnings.push("EnableNFTables has no effect: knet always uses nftables");
  }
  return {
    network: network as string,
    ...said("subnetLen", conf.get("SubnetLen") || undefined),
    ...said("subnetMin", conf.get("SubnetMin")),
    ...said("subnetMax", conf.get("SubnetMax")),
    backend: readBackend((conf.get("Backend") ?? {}) as object, warnings),
    warnings,
  };
}

function refuseIPv6(conf: ReadonlyMap<string, unknown>, warnings: string[]): void {
  const remedy =
    "Take its IPv6 out for a cluster of IPv4 only; knet has no dual-stack clusters yet";
  if (conf.get("EnableIPv6") === true) throw refuse("EnableIPv6 is true", remedy);
  if (conf.get("EnableIPv4") === false) throw refuse("EnableIPv4 is false", remedy);
  const idle = [...conf.keys()].filter((key) => key.startsWith("IPv6"));
  if (idle.length > 0) {
    warnings.push(`${idle.join(", ")} has no effect: EnableIPv6 is not true`);
  }
}

function readBackend(object: object, warnings: string[]): FlannelNetwork["backend"] {
  const given = Object.entries(object).find(([key]) => key.toLowerCase() === "type")?.[1];
  // Flannel's own default.
  const type = given === undefined || given === null ? "udp" : given;
  if (typeof type !== "string") {
    throw refuse(
      `"Backend.Type" is ${JSON.stringify(type)}`,
      'Give "vxlan", "host-gw" or "udp" as "Backend.Type"',
    );
  }
  const known = BACKEND_KEYS[type.toLowerCase()];
  // Whoever makes a configuration of it refuses the type by its name.
  if (known === undefined) return { type };
  const all: Record<string, Kind> = Object.assign(
    { Type: "text" },
    ...Object.values(BACKEND_KEYS),
  );
  const values = readKeys(object, all, "Backend.");
  for (const key of values.keys()) {
    if (key !== "Type" && !(key in known)) {
      warnings.push(`Backend.${key} has no effect: ${type} has no such option`);
    }
  }
  for (const key of ["GBP", "Learning"]) {
    if (values.get(key) === true && key in known) {
      warnings.push(`Backend.${key} has no effect: knet's VXLAN device goes without`);
    }
  }
  if (values.has("MacPrefix") && "MacPrefix" in known) {
    warnings.push("Backend.MacPrefix has no effect: knet derives MAC addresses from the node's id");
  }
  const value = (key: string) => key in known ? values.get(key) : undefined;
  return {
    type: type.toLowerCase(),
    ...said("vni", value("VNI")),
    // 0 is flannel's way to leave these open.
    ...said("port", value("Port") || undefined),
    ...said("directRouting", value("DirectRouting")),
    ...said("mtu", value("MTU") || undefined),
  };
}

/** A record of one value, or of none if nothing was said; {@linkcode readKeys} has seen to its kind. */
// deno-lint-ignore no-explicit-any -- see above
function said<Name extends string>(name: Name, value: unknown): { [N in Name]?: any } {
  return (value === undefined ? {} : { [name]: value }) as { [N in Name]?: unknown };
}
