/**
 * One host's replica in a process of its own: `dqlite_host.ts FOLDER NAME [--seed=ADDRESS] [--latency=MS] [--tick=MS] [--patience=MS]`.
 * Prints its address when it is a member. While there is a file `NAME.cut` in the folder, nothing gets to the host of that name or from it,
 * and nobody is told.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { sleep } from "../../core/base/clock.ts";
import { nameOf } from "../../core/store/dqlite/identity.ts";
import { ROLE_RULES } from "../../core/store/dqlite/roles.ts";
import type { ByteStream, NodeTransport } from "../../core/store/dqlite/stream.ts";
import { folderTransport, startHost } from "./dqlite.ts";

const { positionals: [folder, name], values } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    seed: { type: "string" },
    latency: { type: "string", default: "20" },
    tick: { type: "string", default: "200" },
    patience: { type: "string", default: `${ROLE_RULES.patience}` },
  },
});

function isCut(host: string): boolean {
  try {
    return Deno.statSync(`${folder}/${host}.cut`).isFile;
  } catch {
    return false;
  }
}

/** A stream of which nothing gets through while either side is cut off. */
function fragile(inner: ByteStream, other: string): ByteStream {
  let closed = false;
  const through = async () => {
    while (!closed && (isCut(name!) || isCut(other))) await sleep(50);
  };
  return {
    async read(into) {
      const count = await inner.read(into);
      await through();
      return count;
    },
    async write(bytes) {
      await through();
      return await inner.write(bytes);
    },
    close() {
      closed = true;
      inner.close();
    },
  };
}

const carrier = folderTransport(folder!);
const transport: NodeTransport = {
  async dial(address) {
    const other = nameOf(address);
    while (isCut(name!) || isCut(other)) await sleep(50);
    return fragile(await carrier.dial(address) as ByteStream, other);
  },
};

const host = await startHost(folder!, name!, {
  ...(values.seed === undefined ? { begin: true } : { seeds: [values.seed] }),
  transport,
  latency: Number(values.latency),
  tick: Number(values.tick),
  rules: { ...ROLE_RULES, patience: Number(values.patience) },
  onProblem: (sentence) => console.error(sentence),
});
console.log(host.replica.address);
setInterval(() => {}, 60_000);
