import assert from "node:assert/strict";
import { lastSetting, managerChecks } from "./network_managers.ts";

const dist = new URL("../../../dist/", import.meta.url).pathname;

/** A root file system with these files. */
async function rootWith(files: Record<string, string>): Promise<string> {
  const root = await Deno.makeTempDir({ prefix: "knet-root-" }) + "/";
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(root + path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(root + path, text);
  }
  return root;
}

async function checked(files: Record<string, string>): Promise<Record<string, string>> {
  const root = await rootWith(files);
  try {
    const checks = await managerChecks(root);
    return Object.fromEntries(checks.map((one) => [one.check, `${one.status}: ${one.detail}`]));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const RUNNING = {
  "run/systemd/netif/state": "",
  "run/udev/control": "",
  "run/NetworkManager/devices/1": "",
};

Deno.test("lastSetting() takes the last value, and no comment for one", () => {
  const texts = [
    "[Network]\nManageForeignRoutes=yes\n",
    "#ManageForeignRoutes=x\n",
    "A=1\nA = 2 \n",
  ];
  assert.equal(lastSetting(texts, "ManageForeignRoutes"), "yes");
  assert.equal(lastSetting(texts, "A"), "2");
  assert.equal(lastSetting(texts, "B"), undefined);
});

Deno.test("managerChecks() is content where none of them runs", async () => {
  for (const line of Object.values(await checked({ "etc/hostname": "h" }))) {
    assert.equal(line, "ok: does not run");
  }
});

Deno.test("managerChecks() warns of each that runs with its defaults", async () => {
  const found = await checked({
    ...RUNNING,
    "usr/lib/systemd/network/99-default.link":
      "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=persistent\n",
  });
  assert.match(
    found["systemd-networkd"]!,
    /^warn: .*ManageForeignRoutes.*ManageForeignNextHops.*unmanaged/,
  );
  assert.match(found["udev"]!, /^warn: .*MACAddressPolicy=persistent/);
  assert.match(found["NetworkManager"]!, /^warn/);
});

Deno.test("managerChecks() is content with the files that ship beside the unit", async () => {
  const read = (name: string) => Deno.readTextFileSync(dist + name);
  const found = await checked({
    ...RUNNING,
    "etc/systemd/networkd.conf": "[Network]\nManageForeignRoutes=yes\n",
    "etc/systemd/networkd.conf.d/10-knet.conf": read("10-knet-networkd.conf"),
    "etc/systemd/network/10-knet.network": read("10-knet.network"),
    "etc/systemd/network/10-knet.link": read("10-knet.link"),
    "etc/NetworkManager/conf.d/10-knet.conf": read("10-knet-networkmanager.conf"),
  });
  for (const [check, line] of Object.entries(found)) assert.match(line, /^ok: runs, and/, check);
});

Deno.test("managerChecks() reads of files with one name only that of the strongest place", async () => {
  const found = await checked({
    ...RUNNING,
    "usr/lib/systemd/networkd.conf.d/10-knet.conf": "[Network]\nManageForeignRoutes=no\n",
    "etc/systemd/networkd.conf.d/10-knet.conf": "# nothing\n",
  });
  assert.match(found["systemd-networkd"]!, /ManageForeignRoutes is not "no"/);
});
