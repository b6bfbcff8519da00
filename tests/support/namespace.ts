/**
 * A network namespace that lives as long as one synchronous test.
 *
 * @module
 */
import { openNetns, withNetns } from "../../ffi/netns.ts";

let count = 0;

async function ip(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ip", { args }).output();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

/** Runs a synchronous function inside a fresh network namespace and deletes it afterwards. */
export async function inNewNamespace(run: () => void): Promise<void> {
  const name = `knet-test-${Deno.pid}-${++count}`;
  await ip("netns", "add", name);
  try {
    using namespace = openNetns(name);
    withNetns(namespace.fd, run);
  } finally {
    await ip("netns", "delete", name);
  }
}
