import assert from "node:assert/strict";
import { liesOnNetwork, mountOf } from "./network_file.ts";

const MOUNTS = [
  { path: "/", type: "ext4" },
  { path: "/srv", type: "nfs4" },
  { path: "/srv/local", type: "xfs" },
  { path: "/home", type: "autofs" },
  { path: "/far", type: "fuse.sshfs" },
  { path: "/twice", type: "cifs" },
  { path: "/twice", type: "tmpfs" },
];

/** Fails if a link is looked for where a dead server could be asked. */
function links(known: Record<string, string>) {
  return (path: string) => {
    assert.ok(!/^\/(srv(?!\/local)|far|home)/.test(path), `${path} was touched`);
    return known[path];
  };
}

const lies = (path: string, known: Record<string, string> = {}) =>
  liesOnNetwork(path, () => MOUNTS, links(known));

Deno.test("mountOf() takes the longest path above, and of two at one place the later", () => {
  assert.equal(mountOf("/srv/local/a", MOUNTS)?.type, "xfs");
  assert.equal(mountOf("/srvs", MOUNTS)?.type, "ext4");
  assert.equal(mountOf("/twice/a", MOUNTS)?.type, "tmpfs");
});

Deno.test("liesOnNetwork() knows served file systems, and touches nothing on them", () => {
  for (const path of ["/srv/knet.db", "/far/a/knet.db", "/home/one/knet.db"]) {
    assert.equal(lies(path), true, path);
  }
  for (const path of ["/var/lib/knet/knet.db", "/twice/knet.db"]) {
    assert.equal(lies(path), false, path);
  }
});

Deno.test("liesOnNetwork() follows links as far as the way is local", () => {
  assert.equal(lies("/var/lib/knet/knet.db", { "/var/lib/knet": "/srv/knet" }), true);
  assert.equal(lies("/var/lib/knet/knet.db", { "/var/lib/knet": "../../data" }), false);
  assert.equal(lies("/var/lib/knet/knet.db", { "/var/lib/knet/knet.db": "/far/knet.db" }), true);
  assert.equal(lies("/a/knet.db", { "/a": "/b", "/b": "/a" }), true);
});

Deno.test("liesOnNetwork() is careful where the list of mounts cannot be read", () => {
  const fails = () => {
    throw new Error("no /proc");
  };
  assert.equal(liesOnNetwork("/var/lib/knet/knet.db", fails), true);
});
