/**
 * The words of netavark's plugin protocol (plugin-API.md of containers/netavark, 1.0.0). Light: the plugin itself loads it. Pure.
 *
 * @module
 */

/** Name of the driver, which is the name of the plugin's file. */
export const PODMAN_DRIVER = "knet";

/** What podman may ask of a plugin but `info`, which needs no agent. */
export const NETAVARK_COMMANDS = ["create", "setup", "teardown"] as const;

/** One of them. */
export type NetavarkCommand = typeof NETAVARK_COMMANDS[number];

/** A question, as the plugin hands it on. */
export interface NetavarkQuestion {
  readonly command: NetavarkCommand;
  /** Path of the namespace; empty with `create`. */
  readonly netns: string;
  /** `device:inode` of the namespace that the plugin sees at that path. */
  readonly netnsSeen?: string | undefined;
  /** What podman wrote to the plugin: JSON, not looked at yet. */
  readonly input: string;
}

/** Whether a word is a command that an agent answers. */
export function isNetavarkCommand(word: string): word is NetavarkCommand {
  return (NETAVARK_COMMANDS as readonly string[]).includes(word);
}

/** The answer to `info`. */
export function infoDocument(version: string): string {
  return JSON.stringify({ version, api_version: "1.0.0" });
}

/** An error as netavark shows it; what to do about it stands behind it. */
export function netavarkError(message: string, remedy?: string): string {
  return JSON.stringify({ error: remedy === undefined ? message : `${message} (${remedy})` });
}
