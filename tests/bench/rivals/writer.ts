/**
 * A program of its own that runs where the store is reached: `writer.ts etcd:URL|sqlite:PATH|postgres:URL PREFIX`. Each line of its
 * input is a JSON list of leases, which it writes at once; it answers with the moments before and after.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import postgres from "postgres";
import type { Lease } from "../../../core/cluster/lease.ts";
import { flannelLease, leaseStatements, putBody } from "./writing.ts";

/** Milliseconds since the epoch, with fractions. */
export interface Written {
  readonly begin: number;
  readonly end: number;
}

type Write = (leases: readonly Lease[]) => Promise<Written>;

/** etcd's limit of puts a transaction, as its server has it without being told otherwise. */
const PUTS = 128;
const DAY_SECONDS = 86_400;

/** Now, comparable between processes. */
export function instant(): number {
  return performance.timeOrigin + performance.now();
}

async function timed(run: () => unknown): Promise<Written> {
  const begin = instant();
  await run();
  return { begin, end: instant() };
}

function sqlite(path: string): Write {
  const database = new DatabaseSync(path);
  database.exec("pragma busy_timeout = 5000");
  return (leases) => {
    const statements = leaseStatements(leases, Date.now());
    return timed(() => database.exec(["begin immediate", ...statements, "commit"].join(";\n")));
  };
}

function postgresOf(url: string): Write {
  const { searchParams } = new URL(url);
  const schema = searchParams.get("schema")!;
  const sql = postgres(url.split("?")[0]!, { max: 1, onnotice: () => {} });
  return (leases) => {
    const statements = leaseStatements(leases, Date.now());
    const text = [
      `set search_path to ${schema}`,
      "begin",
      ...statements,
      `select pg_notify('knet_${schema}', '')`,
      "commit",
    ].join(";\n");
    return timed(() => sql.unsafe(text).simple());
  };
}

function etcd(url: string, prefix: string): Write {
  const post = async (path: string, body: unknown) => {
    const answer = await fetch(`${url}${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
    return await answer.json();
  };
  let granted: string | undefined;
  return async (leases) => {
    // One for all: flanneld asks for the time to live of each peer's, which takes the same whosoever it is.
    granted ??= (await post("/v3/lease/grant", { TTL: DAY_SECONDS })).ID as string;
    const puts = leases.map((lease) => putBody(flannelLease(lease, prefix), granted));
    return await timed(async () => {
      if (puts.length === 1) return await post("/v3/kv/put", puts[0]);
      for (let at = 0; at < puts.length; at += PUTS) {
        const success = puts.slice(at, at + PUTS).map((put) => ({ requestPut: put }));
        await post("/v3/kv/txn", { success });
      }
    });
  };
}

function open(store: string, prefix: string): Write {
  if (store.startsWith("sqlite:")) return sqlite(store.slice("sqlite:".length));
  if (store.startsWith("etcd:")) return etcd(store.slice("etcd:".length), prefix);
  return postgresOf(store);
}

if (import.meta.main) {
  const [store = "", prefix = ""] = Deno.args;
  const write = open(store, prefix);
  let text = "";
  console.log("ready");
  for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      console.log(JSON.stringify(await write(JSON.parse(line))));
    }
  }
}
