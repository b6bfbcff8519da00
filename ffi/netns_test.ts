import assert from "node:assert/strict";
import { skip, whyNoLab } from "../tests/support/skip.ts";
import { libc } from "./libc.ts";
import { netnsCookie, netnsId, newNetns, openNetns, ownNetns, withNetns } from "./netns.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";

const NAME = `system-ns-${Deno.pid}`;

function ip(...args: string[]): void {
  const { code, stderr } = new Deno.Command("ip", { args, stderr: "piped" }).outputSync();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
}

function inLab(name: string, fn: () => void | Promise<void>): void {
  Deno.test(name, async () => {
    const reason = whyNoLab();
    if (reason !== undefined) return skip(name, reason);
    ip("netns", "add", NAME);
    try {
      await fn();
    } finally {
      ip("netns", "delete", NAME);
    }
  });
}

inLab("openNetns() takes a name, a path and a process id", () => {
  using byName = openNetns(NAME);
  using byPath = openNetns(`/run/netns/${NAME}`);
  using byPid = openNetns(`${Deno.pid}`);
  assert.equal(netnsId(byName.fd), netnsId(byPath.fd));
  assert.notEqual(netnsId(byName.fd), netnsId(byPid.fd));
  assert.equal(netnsId(byPid.fd), netnsId(ownNetns()));
  assert.equal(byName.path, `/run/netns/${NAME}`);
});

inLab("newNetns() makes a namespace of its own and stays where it is", () => {
  const here = netnsId(ownNetns());
  using one = newNetns();
  using two = newNetns();
  const ids = [here, netnsId(one.fd), netnsId(two.fd)];
  assert.equal(new Set(ids).size, 3);
  using now = openNetns(`${Deno.pid}`);
  assert.equal(netnsId(now.fd), here);
  withNetns(one.fd, () => {
    using inside = newNetns();
    assert.ok(!ids.includes(netnsId(inside.fd)));
    using still = openNetns("/proc/thread-self/ns/net");
    assert.equal(netnsId(still.fd), ids[1], "made from within, one comes back there");
  });
});

Deno.test("openNetns() refuses what is no network namespace", () => {
  assert.throws(() => openNetns("knet-nowhere"), {
    code: "ENOENT",
    path: "/run/netns/knet-nowhere",
  });
  assert.throws(() => openNetns("4194304"), { code: "ENOENT", path: "/proc/4194304/ns/net" });
  assert.throws(() => openNetns("/etc/passwd"), { code: "EINVAL" });
  assert.throws(() => openNetns("/proc/self/ns/mnt"), { code: "EINVAL" });
  assert.throws(() => openNetns(".."), { code: "EINVAL" });
  assert.throws(() => openNetns(""), { code: "ENOENT" });
});

inLab("withNetns() runs inside and comes back", () => {
  using there = openNetns(NAME);
  const before = readSysctl("net.ipv4.ip_forward");
  const [id, value] = withNetns(there.fd, () => {
    writeSysctl("net.ipv4.ip_forward", before === "1" ? 0 : 1);
    using inside = openNetns("/proc/thread-self/ns/net");
    return [netnsId(inside.fd), readSysctl("net.ipv4.ip_forward")];
  });
  assert.equal(id, netnsId(there.fd));
  assert.notEqual(value, before);
  assert.equal(readSysctl("net.ipv4.ip_forward"), before);
  using here = openNetns("/proc/thread-self/ns/net");
  assert.equal(netnsId(here.fd), netnsId(ownNetns()));
});

inLab("withNetns() comes back when the function throws, and to the outer one when nested", () => {
  using there = openNetns(NAME);
  const where = () => {
    using handle = openNetns("/proc/thread-self/ns/net");
    return netnsId(handle.fd);
  };
  assert.throws(() =>
    withNetns(there.fd, () => {
      throw new RangeError("on purpose");
    }), RangeError);
  assert.equal(where(), netnsId(ownNetns()));
  withNetns(there.fd, () => {
    withNetns(ownNetns(), () => assert.equal(where(), netnsId(ownNetns())));
    assert.equal(where(), netnsId(there.fd));
  });
  assert.equal(where(), netnsId(ownNetns()));
});

inLab("withNetns() refuses promises", () => {
  using there = openNetns(NAME);
  let ran = false;
  assert.throws(() =>
    // deno-lint-ignore require-await
    withNetns(there.fd, async () => {
      ran = true;
    }), TypeError);
  assert.equal(ran, false);
  assert.throws(() => withNetns(there.fd, () => Promise.resolve(1)), TypeError);
  assert.throws(() => withNetns(there.fd, () => Promise.reject(new Error("lost"))), TypeError);
  using here = openNetns("/proc/thread-self/ns/net");
  assert.equal(netnsId(here.fd), netnsId(ownNetns()));
});

Deno.test("withNetns() reports a descriptor that is no namespace", () => {
  assert.throws(() => withNetns(0, () => 1), (error: unknown) => {
    assert.ok(error instanceof Error && error.name === "SystemError");
    return true;
  });
});

inLab("withNetns() aborts the process when it cannot come back", async () => {
  const url = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);
  const code = `
    import { openNetns, ownNetns, withNetns } from ${url("./netns.ts")};
    import { closeFile } from ${url("./file.ts")};
    const there = openNetns(${JSON.stringify(NAME)});
    withNetns(there.fd, () => closeFile(ownNetns()));
    console.log("still alive");
  `;
  const output = await new Deno.Command("sh", {
    args: ["-c", 'ulimit -c 0; exec "$0" "$@"', Deno.execPath(), "run", "-A", "--no-check"]
      .concat(`data:application/typescript,${encodeURIComponent(code)}`),
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.equal(output.signal, "SIGABRT");
  assert.equal(new TextDecoder().decode(output.stdout), "");
  assert.match(
    new TextDecoder().decode(output.stderr),
    /Cannot return to the own network namespace: EBADF .*: aborting/,
  );
});

inLab("netnsId() of 2,000 openings leaves no descriptor behind", () => {
  const count = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = count();
  for (let round = 0; round < 2_000; round++) {
    using handle = openNetns(NAME);
    netnsId(handle.fd);
    withNetns(handle.fd, () => libc().getpid());
  }
  assert.ok(count() <= before + 1);
});

inLab(
  "netnsCookie() is another one for a namespace that gets the number of one that is gone",
  () => {
    const seen = new Map<string, bigint>();
    let returned = 0;
    for (let n = 0; n < 50; n++) {
      using namespace = newNetns();
      const id = netnsId(namespace.fd);
      const cookie = netnsCookie(namespace.fd);
      if (cookie === undefined) return; // A kernel before 5.14.
      assert.equal(netnsCookie(namespace.fd), cookie);
      assert.ok(![...seen.values()].includes(cookie));
      if (seen.has(id)) returned++;
      seen.set(id, cookie);
    }
    // Whether a number returns is the kernel's affair; cookies never do.
    assert.equal(new Set(seen.values()).size, seen.size, `${returned} numbers came back`);
  },
);
