import assert from "node:assert/strict";
import { COMMANDS } from "../commands.ts";
import { placeOf } from "./candidates.ts";

const kindOf = async (line: string) =>
  (await placeOf(line.split(" ").filter(Boolean), COMMANDS))?.kind;

Deno.test("placeOf() tells what is being typed", async () => {
  const places: [string, string | undefined][] = [
    ["lease show", "lease"],
    ["lease release --force", "lease"],
    ["lease show a", undefined],
    ["lease ls", undefined],
    ["lease", undefined],
    ["leave --node", "lease"],
    ["leave --node =", "lease"],
    ["leave --node a", undefined],
    ["container show", "container"],
    ["container ls --node", "lease"],
    ["container ls", undefined],
    ["svc rm", "service"],
    ["svc add", undefined],
    ["svc drain", "service"],
    ["svc drain web", "server"],
    ["svc drain --timeout 5s web", "server"],
    ["--store sqlite:/x svc to web", "server"],
    ["--store = sqlite:/x --json svc to web", "server"],
    ["--store=sqlite:/x svc set", "service"],
    ["svc to web 10.244.1.2:80", undefined],
    ["frob", undefined],
    ["svc frob", undefined],
    ["", undefined],
    ["--store", undefined],
    ["join --iface", undefined],
    ["svc constructor --toString", undefined],
  ];
  for (const [line, kind] of places) assert.equal(await kindOf(line), kind, line);
});

Deno.test("placeOf() keeps what the store is to be found by", async () => {
  const place = await placeOf(
    ["--store", "sqlite:/x", "svc", "to", "--data-dir=/d", "web"],
    COMMANDS,
  );
  assert.deepEqual(place?.given, { store: "sqlite:/x", "data-dir": "/d" });
  assert.deepEqual(place?.operands, ["web"]);
});
