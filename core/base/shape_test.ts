import assert from "node:assert/strict";
import * as v from "valibot";
import { parseShape, word } from "./shape.ts";

const PEERS = v.looseObject({
  peers: v.array(v.looseObject({ name: v.string(), mtu: v.exactOptional(v.number()) })),
  kind: word<"plain">(),
});

Deno.test("parseShape() keeps what it does not know", () => {
  const text = '{"peers":[{"name":"a","colour":"red"}],"kind":"newer","more":[1]}';
  assert.deepEqual(parseShape(PEERS, text), JSON.parse(text));
});

Deno.test("parseShape() names the place and what is wrong there", () => {
  for (
    const [text, sentence] of [
      ["null", "it is null, not Object"],
      ["{}", "it has no peers"],
      ['{"peers":{}}', "peers is Object, not Array"],
      ['{"peers":[{"name":"a"},{}]}', "it has no peers.1.name"],
      ['{"peers":[{"name":"a","mtu":"9"}]}', 'peers.0.mtu is "9", not number'],
      ['{"peers":[],"kind":7}', "kind: it is no text"],
    ] as const
  ) assert.throws(() => parseShape(PEERS, text), { name: "TypeError", message: sentence }, text);
  assert.throws(() => parseShape(PEERS, "{"), SyntaxError);
});
