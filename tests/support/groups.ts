/**
 * Which files of tests each group of a run has. A test file that is in none of them never runs: `tests/architecture/groups_test.ts`
 * looks for those.
 *
 * @module
 */

/** One end-to-end file. */
export interface EndToEnd {
  /** `tests/e2e/NAME_test.ts`. */
  readonly name: string;
  /** It runs against the binary, too. */
  readonly short?: true;
  readonly binaryOnly?: true;
  /**
   * It runs by `deno task test:long` only, or there, too, and longer (`KNET_TEST_LONG` is set): all together would take longer than
   * half an hour.
   */
  readonly long?: "only" | "too";
  /** What it does most is to wait: it runs beside those that do not. */
  readonly waits?: true;
  /** It is about a store that stands elsewhere: it does not run by `deno task test:dqlite`. */
  readonly elsewhere?: true;
  /** Why it does not run. */
  readonly skipped?: string;
}

/** The end-to-end files in the order of the acceptance list. */
export const E2E: readonly EndToEnd[] = [
  { name: "reachability", short: true },
  { name: "membership" },
  { name: "healing" },
  { name: "containers" },
  { name: "cni", short: true },
  { name: "docker", long: "too" },
  { name: "podman" },
  { name: "netavark", long: "only" },
  { name: "containerd", long: "too" },
  { name: "nspawn", long: "only" },
  { name: "ports" },
  { name: "crash", long: "too" },
  { name: "links", long: "only" },
  { name: "hosts" },
  { name: "lone_host", long: "only" },
  { name: "underlay_again", long: "only" },
  { name: "backend_change" },
  { name: "udp" },
  { name: "store_away", elsewhere: true, waits: true },
  { name: "store_change", elsewhere: true, waits: true },
  { name: "own_store", waits: true },
  { name: "fail_over", elsewhere: true, waits: true },
  { name: "recover", long: "only" },
  { name: "moved", long: "only" },
  { name: "fifty", long: "only" },
  { name: "returned", long: "only" },
  { name: "upgrade", long: "only", elsewhere: true },
  { name: "token", short: true },
  { name: "joiners", long: "only" },
  { name: "crowd", short: true },
  { name: "clock", waits: true },
  { name: "bad_input", elsewhere: true },
  { name: "bare_root", binaryOnly: true, short: true },
  { name: "firewall" },
  { name: "guard" },
  { name: "services" },
  { name: "policy_routing", long: "only" },
  { name: "trace", short: true },
  { name: "doctor", short: true },
  { name: "metrics" },
  { name: "probe" },
  { name: "unit" },
];

/** The path of an end-to-end file. */
export const endToEndPath = (name: string): string => `tests/e2e/${name}_test.ts`;

/** The folders of the groups that have whole folders. */
export const FOLDERS = {
  unit: [
    ...["core", "ffi", "cli", "dist"],
    ...["tests/architecture", "tests/support", "tests/cli", "tests/fuzz", "tests/bench"],
  ],
  store: ["tests/store"],
  kernel: ["tests/kernel"],
  vm: ["tests/vm"],
  package: ["tests/package"],
  docs: ["tests/docs"],
  chaos: ["tests/chaos"],
} as const;

/** Folders of tests that are too slow for a run of all: each has a task of its own in `deno.json`. */
export const TASKS: Readonly<Record<string, string>> = { machines: "tests/machines" };
