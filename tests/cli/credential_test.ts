/**
 * The store's URL as systemd's `LoadCredential=knet.store` hands it over.
 *
 * @module
 */
import assert from "node:assert/strict";
import { scratch } from "./run_knet.ts";

Deno.test("knet takes the store from $CREDENTIALS_DIRECTORY/knet.store where nothing nearer names one", async () => {
  await using at = await scratch();
  const directory = `${at.path}/credentials`;
  await Deno.mkdir(directory);
  await Deno.writeTextFile(`${directory}/knet.store`, `sqlite:${at.path}/credential.db\n`);
  await Deno.chmod(`${directory}/knet.store`, 0o400);
  // An unset variable of /etc/default/knet is an empty one.
  const env = { KNET_STORE: "", CREDENTIALS_DIRECTORY: directory };
  const made = await at.knet("init --json", env);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(JSON.parse(made.stdout).store, `sqlite:${at.path}/credential.db`);
  assert.ok((await Deno.stat(`${at.path}/credential.db`)).isFile);

  const named = await at.knet("init --json", { CREDENTIALS_DIRECTORY: directory });
  assert.equal(JSON.parse(named.stdout).store, `sqlite:${at.path}/knet.db`);
});

Deno.test("knet shows no password of a credential that is no store", async () => {
  await using at = await scratch();
  await Deno.writeTextFile(`${at.path}/knet.store`, "mysql://knet:hunter2@db/knet\n");
  const outcome = await at.knet("lease ls", { KNET_STORE: "", CREDENTIALS_DIRECTORY: at.path });
  assert.equal(outcome.code, 2, outcome.stderr);
  assert.match(outcome.stderr, /the credential "knet\.store"/);
  assert.doesNotMatch(outcome.stderr, /hunter2/);
});
