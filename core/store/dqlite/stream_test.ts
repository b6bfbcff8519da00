import assert from "node:assert/strict";
import { carry } from "./stream.ts";

/** Two ends of one stream. */
async function pair(): Promise<[Deno.Conn, Deno.Conn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  return await Promise.all([Deno.connect({ hostname: "127.0.0.1", port }), listener.accept()]);
}

for (const end of ["a", "b"] as const) {
  Deno.test(`carry() closes both ends when ${end} ends, and says that it was ${end}`, async () => {
    const [client, a] = await pair();
    const [node, b] = await pair();
    const carried = carry(a, b);
    await client.write(new Uint8Array([1, 2, 3]));
    const into = new Uint8Array(8);
    assert.equal(await node.read(into), 3);
    const [gone, left] = end === "a" ? [client, node] : [node, client];
    gone.close();
    assert.equal(await carried, end);
    assert.equal(await left.read(into), null);
    left.close();
  });
}
