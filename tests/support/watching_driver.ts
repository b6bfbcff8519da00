/**
 * A program that writes leases and reads them at each notification, as an agent does: `watching_driver.ts URL PREFIX COUNT`.
 * It prints what went wrong, a line each.
 *
 * @module
 */
import { openStore } from "../../core/store/open.ts";
import { addressOfNode, requestOf } from "./lease_driver.ts";

const [url = "", prefix = "", count = "0"] = Deno.args;
const store = await openStore(url);
const failed = (error: unknown) => console.log(String(error));
const reads: Promise<unknown>[] = [];
const subscription = store.subscribe(
  () => void reads.push(store.changesSince(0).catch(failed)),
  () => {},
);
for (let n = 0; n < Number(count); n++) {
  const node = `${prefix}${n}`;
  await store.acquireLease(requestOf(node, addressOfNode(node))).catch(failed);
}
subscription[Symbol.dispose]();
await Promise.all(reads);
await store[Symbol.asyncDispose]();
