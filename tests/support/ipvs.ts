/**
 * Tests that need IPVS. Where the running kernel has none, `tests/run.ts` runs them in a virtual machine.
 *
 * @module
 */
import { openNetns, withNetns } from "../../ffi/netns.ts";
import { exec } from "./exec.ts";
import { whyNoLab } from "./skip.ts";
import { ipvsHere } from "./vm_initrd.ts";

/** Why tests of IPVS cannot run on this kernel; undefined if they can. */
export function ipvsProblem(): string | undefined {
  const problem = whyNoLab();
  if (problem !== undefined || ipvsHere()) return problem;
  return "this kernel has no IPVS; deno task test --only vm brings another one";
}

const problem = ipvsProblem();

/** Defines a test that needs IPVS. */
export function ipvsTest(name: string, fn: () => void | Promise<void>): void {
  Deno.test({
    name: problem === undefined ? name : `${name} [skipped: ${problem}]`,
    ignore: problem !== undefined,
    sanitizeOps: false,
    sanitizeResources: false,
    fn,
  });
}

let count = 0;

/** Something that runs synchronous functions and commands in a network namespace. */
export interface TestNamespace {
  readonly name: string;
  /** Runs a function in it. */
  readonly within: <T>(fn: () => T) => T;
  /** Runs a command in it and gives its output. */
  readonly run: (line: string | readonly string[], stdin?: string) => Promise<string>;
}

/** A test in a network namespace of its own, with its loopback device up. */
export function ipvsNamespaceTest(
  name: string,
  fn: (namespace: TestNamespace) => void | Promise<void>,
): void {
  ipvsTest(name, async () => {
    const namespace = `knet-ipvs-${Deno.pid}-${++count}`;
    await exec(`ip netns add ${namespace}`);
    try {
      await exec(`ip -n ${namespace} link set lo up`);
      using handle = openNetns(namespace);
      await fn({
        name: namespace,
        within: (inner) => withNetns(handle.fd, inner),
        run: async (line, stdin) => {
          const words = typeof line === "string" ? line.split(" ") : line;
          const options = stdin === undefined ? {} : { stdin };
          return (await exec(["ip", "netns", "exec", namespace, ...words], options)).stdout;
        },
      });
    } finally {
      await exec(`ip netns delete ${namespace}`);
    }
  });
}
