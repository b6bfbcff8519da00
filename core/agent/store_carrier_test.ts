import assert from "node:assert/strict";
import { KnetError, StoreAwayError } from "../base/error.ts";
import { DialError } from "../port/dial.ts";
import { Link } from "../store/remote/link.ts";
import { awayBy } from "./store_carrier.ts";

const WHERE = { address: "192.0.2.1", port: 8473 };

Deno.test("awayBy() lets a client go on to the next host where one is away, a stranger, or refuses", async () => {
  for (const reason of ["away", "stranger", "refused"] as const) {
    const asked: string[] = [];
    const link = new Link({
      location: "dqlite:/x",
      servers: () => ["first", "second"],
      dial: (host) => {
        asked.push(host);
        return Promise.reject(awayBy(new DialError(reason, WHERE, "no", "See its agent")));
      },
    }, 500);
    await assert.rejects(link.ask("members", {}), StoreAwayError);
    assert.ok(asked.includes("second"), `${reason}: ${asked}`);
    link.close();
  }
});

Deno.test("awayBy() keeps what was said and what to do", () => {
  const made = awayBy(new KnetError("it was revoked", { exitCode: 4, remedy: "Join again" }));
  assert.deepEqual([made.message, made.remedy], ["it was revoked", "Join again"]);
  assert.equal(awayBy(made), made);
});
