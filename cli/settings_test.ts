import assert from "node:assert/strict";
import { UsageError } from "./errors.ts";
import { globalOptions, hostOptions } from "./shared_options.ts";
import type { Parsed } from "./option_table.ts";
import type { OptionTable } from "./option_table.ts";
import { resolveSettings } from "./settings.ts";
import type { SettingsHost } from "./settings.ts";

function hostOf(
  env: Record<string, string>,
  files: Record<string, string> = {},
  mode = 0o600,
): SettingsHost {
  return {
    env: (name) => env[name],
    variables: () => Object.keys(env),
    file: (path) => files[path] === undefined ? undefined : { text: files[path], mode },
  };
}

const resolve = (given: Readonly<Record<string, string | boolean>>, host: SettingsHost) =>
  resolveSettings(given as Parsed<OptionTable>, hostOptions, "knet join", host);

Deno.test("resolveSettings() prefers flag over environment over file over default", async () => {
  const file = { "/etc/knet/knet.yaml": "iface: file0\nbridge: file1\nnode: file2\nvni: 3\n" };
  const env = { KNET_IFACE: "env0", KNET_BRIDGE: "env1" };
  const { options, settings } = await resolve({ iface: "flag0" }, hostOf(env, file));
  assert.equal(options.iface, "flag0");
  assert.equal(options.bridge, "env1");
  assert.equal(options.node, "file2");
  assert.equal(settings.store, undefined, "the agent's");
  assert.equal(settings.logLevel, "info");
  assert.equal("vni" in options, false, "an option of another command is left alone");
});

Deno.test("resolveSettings() checks the environment and the file as it checks flags", async () => {
  await assert.rejects(
    resolve({}, hostOf({ KNET_LOG_LEVEL: "loud" })),
    /KNET_LOG_LEVEL: "loud" is not a log level/,
  );
  await assert.rejects(
    resolve({}, hostOf({}, { "/etc/knet/knet.yaml": "bridge: much-too-long-a-name\n" })),
    /"bridge" of the configuration file "\/etc\/knet\/knet\.yaml": "much-too-long-a-name" is not an interface name/,
  );
});

Deno.test("resolveSettings() reads flags from environment and file", async () => {
  const { options } = await resolve(
    {},
    hostOf({ KNET_IP_MASQ: "1" }, { "/etc/knet/knet.yaml": "peers-only: false" }),
  );
  assert.equal(options["ip-masq"], true);
  assert.equal(options["peers-only"], false);
});

Deno.test("resolveSettings() names an unknown option of the file and the one meant", async () => {
  await assert.rejects(
    resolve({}, hostOf({}, { "/etc/knet/knet.yaml": "ifaec: eth0" })),
    (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /has no option "ifaec", did you mean "iface"\?/);
      return true;
    },
  );
});

Deno.test("resolveSettings() quotes nothing of a file that has no options, but secrets perhaps", async () => {
  const shadow = "root:$6$salt$hash:20228:0:99999:7:: \nknet: x";
  await assert.rejects(resolve({}, hostOf({}, { "/etc/knet/knet.yaml": shadow })), (error) => {
    assert.doesNotMatch(String(error), /salt/);
    return true;
  });
});

Deno.test("resolveSettings() refuses a file that is not a list of options", async () => {
  for (const text of ["- a\n- b", "just text", "iface: [a, b]", "iface: {a: b}", "iface: 'x"]) {
    await assert.rejects(
      resolve({}, hostOf({}, { "/etc/knet/knet.yaml": text })),
      /Cannot read the configuration file "\/etc\/knet\/knet.yaml"/,
    );
  }
  for (
    const [text, says] of [
      ["iface: [a, b]", /"iface" is a list: give one text, number, true or false$/],
      ["iface: {a: b}", /"iface" has options of its own: give one text, number, true or false$/],
      ["iface:", /"iface" has no value: give one text, number, true or false$/],
      ["- iface", /it is not a list of "option: value" lines$/],
    ] as const
  ) {
    await assert.rejects(resolve({}, hostOf({}, { "/etc/knet/knet.yaml": text })), says);
  }
  await resolve({}, hostOf({}, { "/etc/knet/knet.yaml": "# nothing but a comment\n" }));
});

Deno.test("resolveSettings() misses a file only if it was named", async () => {
  await resolve({}, hostOf({}));
  await assert.rejects(
    resolve({ config: "/nowhere" }, hostOf({})),
    /"\/nowhere": there is no such file/,
  );
  await assert.rejects(resolve({}, hostOf({ KNET_CONFIG: "/nowhere" })), /no such file/);
});

Deno.test("resolveSettings() takes the store from systemd's credentials", async () => {
  const files = {
    "/run/credentials/knet/knet.store": "postgres://knet:secret@db/knet\n",
    "/etc/knet/knet.yaml": "store: sqlite:/file.db",
  };
  const env = { CREDENTIALS_DIRECTORY: "/run/credentials/knet" };
  const { settings } = await resolve({}, hostOf(env, files));
  assert.deepEqual(settings.store, {
    url: "postgres://knet:secret@db/knet",
    source: 'the credential "knet.store"',
  });
  assert.deepEqual(settings.warnings, []);
  const flagged = await resolve({ store: "sqlite:/flag.db" }, hostOf(env, files));
  assert.deepEqual(flagged.settings.store, { url: "sqlite:/flag.db", source: "--store" });
  const file = await resolve({}, hostOf({}, files));
  assert.deepEqual(file.settings.store, {
    url: "sqlite:/file.db",
    source: '"store" of the configuration file "/etc/knet/knet.yaml"',
  });
  const both = await resolve({}, hostOf({ KNET_STORE: "sqlite:/env.db" }, files));
  assert.deepEqual(both.settings.store, { url: "sqlite:/env.db", source: "KNET_STORE" });
});

Deno.test("resolveSettings() warns of a password others can see, without saying it", async () => {
  const url = "postgres://knet:hunter2@db/knet";
  const flagged = await resolve({ store: url }, hostOf({}));
  assert.match(flagged.settings.warnings[0] ?? "", /visible to every user/);
  const open = await resolve({}, hostOf({}, { "/etc/knet/knet.yaml": `store: ${url}` }, 0o644));
  assert.match(open.settings.warnings[0] ?? "", /can be read by others/);
  assert.deepEqual((await resolve({}, hostOf({ KNET_STORE: url }))).settings.warnings, []);
  assert.doesNotMatch(
    JSON.stringify([flagged.settings.warnings, open.settings.warnings]),
    /hunter2/,
  );
});

Deno.test("resolveSettings() shows no password of a store that cannot be", async () => {
  await assert.rejects(resolve({}, hostOf({ KNET_STORE: "mysql://u:hunter2@db/x" })), (error) => {
    assert.doesNotMatch(String(error), /hunter2/);
    return true;
  });
  assert.throws(() => globalOptions.store.parse("u:hunter2@db"), (error) => {
    assert.doesNotMatch(String(error), /hunter2/);
    return true;
  });
});

Deno.test("resolveSettings() warns of variables that look like settings and are none", async () => {
  const warnings = async (env: Record<string, string>) =>
    (await resolve({}, hostOf(env))).settings.warnings;
  assert.deepEqual(await warnings({ KNET_STROE: "sqlite:/x.db" }), [
    'The variable KNET_STROE is ignored: knet has no such setting, did you mean "KNET_STORE"?',
  ]);
  assert.match((await warnings({ KNET_LOGLEVEL: "debug" }))[0] ?? "", /"KNET_LOG_LEVEL"\?$/);
  assert.match((await warnings({ KNET_FROBNICATE: "1" }))[0] ?? "", /no such setting$/);
  // subnet.env, sourced.
  const file = { KNET_NETWORK: "a", KNET_SUBNET: "b", KNET_MTU: "1450", KNET_IPMASQ: "true" };
  assert.deepEqual(await warnings({ ...file, KNET_IFACE: "eth0", OTHER_STROE: "x" }), []);
});

Deno.test("resolveSettings() says why a configuration file that is there cannot be read", async () => {
  const host = (error: Error): SettingsHost => ({
    ...hostOf({}),
    file: () => {
      throw error;
    },
  });
  await assert.rejects(resolve({}, host(new Deno.errors.PermissionDenied("no"))), {
    message: /permissions keep this user out/,
    exitCode: 3,
  });
  await assert.rejects(resolve({}, host(new Error("Is a directory (os error 21): readfile"))), {
    message: /"\/etc\/knet\/knet.yaml": it is a directory$/,
    exitCode: 2,
  });
});

Deno.test("resolveSettings() looks where the service keeps its things, if nothing else is said", async () => {
  const files = { "/etc/default/knet": "KNET_DATA_DIR=/srv/knet\nKNET_STATE_DIR='/run/k'\n" };
  const { settings } = await resolve({}, hostOf({}, files));
  assert.deepEqual([settings.dataDir, settings.stateDir], ["/srv/knet", "/run/k"]);
  const said = await resolve({ "data-dir": "/a" }, hostOf({ KNET_STATE_DIR: "/b" }, files));
  assert.deepEqual([said.settings.dataDir, said.settings.stateDir], ["/a", "/b"]);
});
