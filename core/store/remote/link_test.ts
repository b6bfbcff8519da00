import assert from "node:assert/strict";
import { KnetError, StoreAwayError } from "../../base/error.ts";
import { serveStore } from "../../../tests/support/remote_store.ts";
import { Link, type RemoteWay } from "./link.ts";

/** Why a server cannot be used. */
type Trouble = () => Error;

const AWAY: Trouble = () => new StoreAwayError("nobody answers there");
const REFUSED: Trouble = () => new KnetError("it does not take this host", { exitCode: 4 });
const SOMETHING_ELSE: Trouble = () => new KnetError("it does not speak TLS");
const GONE: Trouble = () => new Deno.errors.ConnectionRefused("refused");

/** Asks by a way whose first servers have their troubles; the last one is good if there is one. */
async function asked(troubles: readonly Trouble[], good?: RemoteWay): Promise<unknown> {
  const names = troubles.map((_, n) => `bad${n}`);
  const link = new Link({
    location: "dqlite:",
    servers: () => good === undefined ? names : [...names, "good"],
    dial: (server) => {
      const trouble = troubles[names.indexOf(server)];
      return trouble === undefined ? good!.dial("one") : Promise.reject(trouble());
    },
  }, 3000);
  try {
    return await link.ask("getConfig", {});
  } finally {
    link.close();
  }
}

Deno.test("Link goes on to the next server, whatever is the matter with one", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-link-test-" });
  try {
    await using served = await serveStore(`sqlite:${folder}/knet.db`);
    for (const trouble of [AWAY, REFUSED, SOMETHING_ELSE, GONE]) {
      await asked([trouble], served.way);
      await asked([trouble, AWAY, trouble], served.way);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Link says what a server refused where no other answers, and else that the store is away", async () => {
  await assert.rejects(asked([AWAY, REFUSED, GONE]), { message: /does not take/, exitCode: 4 });
  const away = asked([AWAY, GONE]);
  await assert.rejects(away, StoreAwayError);
  await assert.rejects(away, /bad0: nobody answers there; bad1: refused/);
});

Deno.test("Link finds the one that answers behind many that say nothing, wherever it stands and whoever was good last", async () => {
  const folder = await Deno.makeTempDir({ prefix: "knet-link-test-" });
  const clients: Link[] = [];
  try {
    await using served = await serveStore(`sqlite:${folder}/knet.db`);
    const silent = Array.from({ length: 40 }, (_, n) => `silent${n}`);
    const linkBy = (servers: () => readonly string[], deadline: number) => {
      const link = new Link({
        location: "dqlite:",
        servers,
        dial: (server) => server === "good" ? served.way.dial("one") : new Promise(() => {}),
      }, deadline);
      clients.push(link);
      return link;
    };
    // Three of them would take a request's whole time one after the other.
    await linkBy(() => [...silent.slice(0, 5), "good"], 5000).ask("getConfig", {});
    // The last that was good left, and those before the good one say nothing.
    let servers = ["good", ...silent.slice(0, 4)];
    const link = linkBy(() => servers, 5000);
    await link.ask("getConfig", {});
    link.reset();
    servers = [...silent.slice(0, 4), "good"];
    await link.ask("getConfig", {});
    // Behind more than one request can try: the next ones try others.
    const far = linkBy(() => [...silent.slice(0, 20), "good", ...silent.slice(20)], 300);
    let requests = 0;
    for (;; requests++) {
      try {
        await far.ask("getConfig", {});
        break;
      } catch (error) {
        assert.ok(error instanceof StoreAwayError && requests < 10, `${error}`);
      }
    }
    assert.ok(requests > 0);
  } finally {
    for (const client of clients) client.close();
    await Deno.remove(folder, { recursive: true });
  }
});
