/**
 * Names of the network namespaces that one test process makes, and the clearing of what an earlier,
 * killed process left.
 *
 * @module
 */
import { exec } from "./exec.ts";

let count = 0;

/** A prefix that no other lab on this machine has: `kn<pid36>x<n>`. */
export function labPrefix(): string {
  return `kn${Deno.pid.toString(36)}x${(count++).toString(36)}`;
}

/** Deletes namespaces of labs whose test process is gone. */
export async function sweep(): Promise<void> {
  const { stdout } = await exec("ip netns list");
  for (const line of stdout.split("\n")) {
    const name = line.split(" ")[0] ?? "";
    const owner = /^kn([0-9a-z]+)x[0-9a-z]+-/.exec(name)?.[1];
    if (owner === undefined || alive(parseInt(owner, 36))) continue;
    await exec(["ip", "netns", "delete", name], { check: false });
  }
}

function alive(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}
