/**
 * The words of the Container Network Interface (https://www.cni.dev/docs/spec/, 1.1.0): versions, commands, errors. Light: the plugin
 * itself loads it. Pure.
 *
 * @module
 */

/** Versions that are answered, each in its own form; the newest last. */
export const CNI_VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** The environment variables that a runtime tells a plugin by. */
export const CNI_VARIABLES = [
  "CNI_COMMAND",
  "CNI_CONTAINERID",
  "CNI_NETNS",
  "CNI_IFNAME",
  "CNI_ARGS",
] as const;

/** Those variables, as far as they are set. */
export type CniEnvironment = Readonly<Partial<Record<typeof CNI_VARIABLES[number], string>>>;

/** The plugin's name, by which the program knows what it is and a configuration names it. */
export const CNI_PLUGIN = "knet-cni";

/** The argument by which the plugin's script tells the program so. */
export const CNI_WORD = "__cni";

/** Error codes of the specification, and from 100 on knet's own. */
export const CniCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  undecodable: 6,
  invalidConfig: 7,
  tryLater: 11,
  notAvailable: 50,
  limited: 51,
  /** Whatever else fails. */
  failed: 101,
  /** The request makes no sense here. */
  refused: 102,
  /** The host lacks something. */
  lacking: 103,
  /** Somebody else has what was asked for. */
  conflict: 104,
} as const;

/** An error as the runtime gets it. */
export class CniError extends Error {
  override readonly name = "CniError";
  readonly code: number;
  /** What to do about it. */
  readonly details: string | undefined;

  constructor(code: number, message: string, details?: string) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** The error's document, in the version of the request. */
export function errorDocument(error: CniError, cniVersion: string): string {
  const { code, message, details } = error;
  return JSON.stringify({ cniVersion, code, msg: message, ...(details && { details }) });
}

/** The answer to VERSION. */
export function versionDocument(): string {
  return JSON.stringify({ cniVersion: CNI_VERSIONS.at(-1), supportedVersions: CNI_VERSIONS });
}

/** The version that an answer has to be in: the request's, or the oldest if it says none that is known. */
export function answerVersion(config: unknown): string {
  const asked = (config as { cniVersion?: unknown } | null | undefined)?.cniVersion;
  return (CNI_VERSIONS as readonly unknown[]).includes(asked) ? asked as string : "0.3.0";
}

/**
 * Where the agent has its socket that a network's configuration is for.
 *
 * @param stateDir what the configuration says.
 */
export function stateDirOf(stateDir: unknown): string {
  return typeof stateDir === "string" && stateDir.startsWith("/") ? stateDir : "/run/knet";
}
