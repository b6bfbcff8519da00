import assert from "node:assert/strict";
import fc from "fast-check";
import { prefixContains } from "../base/address.ts";
import { KnetError } from "../base/error.ts";
import {
  chooseAddress,
  type ContainerRecord,
  parseBook,
  readBook,
  readFormer,
  tryLockBook,
  writeBook,
} from "./addresses.ts";

const pool = { subnet: "10.244.1.0/29", gateway: "10.244.1.1", taken: ["10.244.1.2"] };

function refused(run: () => unknown, exitCode: number, pattern: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof KnetError);
    assert.equal(error.exitCode, exitCode);
    assert.match(error.message, pattern);
    return true;
  });
}

Deno.test("chooseAddress() gives the lowest free address, or the one asked for", () => {
  assert.equal(chooseAddress(pool, "web"), "10.244.1.3");
  assert.equal(chooseAddress(pool, "web", "10.244.1.6"), "10.244.1.6");
  const six = { subnet: "fd00:1::/64", gateway: "fd00:1::1", taken: ["FD00:1:0::2"] };
  assert.equal(chooseAddress(six, "web"), "fd00:1::3");
  assert.equal(
    chooseAddress(six, "web", "fd00:1::ffff:ffff:ffff:ffff"),
    "fd00:1::ffff:ffff:ffff:ffff",
  );
});

Deno.test("chooseAddress() refuses what is no container's, or taken, each by its own words", () => {
  const ask = (address: string) => () => chooseAddress(pool, "web", address);
  refused(ask("10.244.1.0"), 2, /the network address/);
  refused(ask("10.244.1.7"), 2, /the broadcast address/);
  refused(ask("10.244.1.8"), 2, /outside this host's subnet 10\.244\.1\.0\/29/);
  refused(ask("fd00::1"), 2, /outside/);
  refused(ask("10.244.1.1"), 4, /it is the bridge's/);
  refused(ask("10.244.1.2"), 4, /taken by another container/);
});

Deno.test("chooseAddress() gives all addresses of a subnet, each once, then says that all are taken", () => {
  const networks = fc.constantFrom("10.244.1.0/28", "10.244.1.0/30", "fd00:1::/124");
  fc.assert(fc.property(networks, fc.nat(20), (subnet, place) => {
    const gateway = subnet.replace(/(\.0|::)\/.*/, subnet.includes(":") ? "::1" : ".1");
    const taken: string[] = [];
    const count = subnet.endsWith("/30") ? 1 : subnet.endsWith("/28") ? 13 : 14;
    for (let n = 0; n < count; n++) {
      const address = chooseAddress({ subnet, gateway, taken }, "web");
      assert.ok(prefixContains(subnet, address));
      assert.ok(address !== gateway && !taken.includes(address));
      taken.splice(place % (taken.length + 1), 0, address);
    }
    refused(() => chooseAddress({ subnet, gateway, taken }, "web"), 1, new RegExp(`all ${count} `));
    const [freed] = taken.splice(place % taken.length, 1);
    assert.equal(chooseAddress({ subnet, gateway, taken }, "web"), freed);
  }));
});

const record: ContainerRecord = {
  netns: "web",
  netnsId: "4:4026532000",
  ifname: "eth0",
  address: "10.244.1.2",
  prefixLength: 24,
  hostIfname: "knetv0001",
};

Deno.test("readBook() gives back what writeBook() wrote, and forgets it after a reboot", () => {
  const dataDir = Deno.makeTempDirSync();
  try {
    assert.deepEqual(readBook({ dataDir, bootId: "a" }), []);
    writeBook({ dataDir, bootId: "a" }, [record]);
    assert.deepEqual(readBook({ dataDir, bootId: "a" }), [record]);
    assert.deepEqual(readBook({ dataDir, bootId: "b" }), []);
  } finally {
    Deno.removeSync(dataDir, { recursive: true });
  }
});

Deno.test("parseBook() stops at what knet did not write rather than give out addresses in use", () => {
  for (const text of ["", "{", "null", "[]", "{}", '{"containers": {}}', "1"]) {
    refused(
      () => parseBook(text, "a", "/x/containers.json"),
      1,
      /"\/x\/containers\.json" is not what knet wrote/,
    );
  }
});

Deno.test("parseBook() names what a record lacks, and does not look at those of an earlier boot", () => {
  const text = JSON.stringify({ bootId: "a", containers: [record, { ...record, address: 7 }] });
  refused(() => parseBook(text, "a", "/x"), 1, /not what knet wrote: containers\.1\.address is 7/);
  assert.deepEqual(parseBook(text, "b", "/x"), []);
  const newer = { ...record, labels: { app: "web" } };
  const book = JSON.stringify({ bootId: "a", containers: [newer], version: 2 });
  assert.deepEqual(parseBook(book, "a", "/x"), [newer]);
});

Deno.test("tryLockBook() gives the lock to one at a time", () => {
  const dataDir = Deno.makeTempDirSync();
  try {
    const first = tryLockBook(dataDir);
    assert.notEqual(first, undefined);
    assert.equal(tryLockBook(dataDir), undefined);
    first![Symbol.dispose]();
    using again = tryLockBook(dataDir)!;
    assert.notEqual(again, undefined);
  } finally {
    Deno.removeSync(dataDir, { recursive: true });
  }
});

Deno.test("chooseAddress() leaves out what others hold, and says who", () => {
  const foreign = new Map([["10.244.1.3", `CNI's host-local plugin (network "cbr0")`]]);
  assert.equal(chooseAddress({ ...pool, foreign }, "web"), "10.244.1.4");
  refused(() => chooseAddress({ ...pool, foreign }, "web", "10.244.1.3"), 4, /held by CNI's host/);
  const all = new Map(["3", "4", "5", "6"].map((n) => [`10.244.1.${n}`, "somebody"]));
  refused(
    () => chooseAddress({ ...pool, foreign: all }, "web"),
    1,
    /all 5 addresses of 10\.244\.1\.0\/29 are taken, 4 of them by others than knet/,
  );
});

Deno.test("chooseAddress() gives what somebody had lately only where nothing else is free", () => {
  const avoid = new Set(["10.244.1.3", "10.244.1.4"]);
  const taken = [...pool.taken];
  const given = Array.from({ length: 4 }, () => {
    const address = chooseAddress({ ...pool, taken, avoid }, "web");
    taken.push(address);
    return address;
  });
  assert.deepEqual(given, ["10.244.1.5", "10.244.1.6", "10.244.1.3", "10.244.1.4"]);
});

Deno.test("readFormer() keeps what a runtime's container had before the reboot until it is there again or forgotten", () => {
  const dataDir = Deno.makeTempDirSync();
  try {
    const cni = { runtime: "cni", containerId: "abc", network: "knet" };
    const other = { runtime: "cni", containerId: "def", network: "knet" };
    const [first, second] = [{ ...record, ...cni }, { ...record, ...other, address: "10.244.1.3" }];
    const anonymous = { ...record, address: "10.244.1.9" };
    writeBook({ dataDir, bootId: "a" }, [first, second, anonymous]);
    assert.deepEqual(readFormer({ dataDir, bootId: "a" }), []);
    const after = { dataDir, bootId: "b" };
    const had = [first, second].map(({ address, ifname, runtime, containerId, network }) => ({
      runtime,
      containerId,
      network,
      ifname,
      address,
    }));
    assert.deepEqual(readFormer(after), had);
    writeBook(after, []);
    assert.deepEqual(readFormer(after), had, "whoever else comes first does not make it forget");
    writeBook(after, [first]);
    assert.deepEqual(readFormer(after), had.slice(1));
    assert.deepEqual(readFormer({ dataDir, bootId: "c" }).length, 2, "a second reboot");
    writeBook(after, [first], ({ containerId }) => containerId === "def");
    assert.deepEqual(readFormer(after), []);
  } finally {
    Deno.removeSync(dataDir, { recursive: true });
  }
});

Deno.test("readBook() reads records of knet 0.1 and those that runtimes made", () => {
  const dataDir = Deno.makeTempDirSync();
  try {
    const full: ContainerRecord = {
      ...record,
      netnsId: "cookie:17",
      runtime: "cni",
      containerId: "abc",
      network: "knet",
      name: "web",
      labels: { app: "web" },
      mac: "02:00:00:00:00:01",
      ports: [{ hostPort: 80, containerPort: 8080, protocol: "tcp" }],
    };
    writeBook({ dataDir, bootId: "a" }, [record, full]);
    assert.deepEqual(readBook({ dataDir, bootId: "a" }), [record, full]);
  } finally {
    Deno.removeSync(dataDir, { recursive: true });
  }
});
