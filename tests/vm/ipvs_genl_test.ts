// What ffi/genl writes is what the kernel holds, gives back, and ipvsadm shows.
import assert from "node:assert/strict";
import {
  getInfo,
  getTimeouts,
  IpvsSocket,
  listSyncDaemons,
  setTimeouts,
} from "../../ffi/genl/ipvs.ts";
import { encodeDest, encodeDestDeletion, FORWARDING, listDests } from "../../ffi/genl/ipvs_dest.ts";
import { IpvsProc } from "../../ffi/genl/ipvs_proc.ts";
import {
  encodeService,
  encodeServiceDeletion,
  getService,
  IPPROTO,
  type IpvsServiceId,
  listServices,
  SVC_F,
} from "../../ffi/genl/ipvs_service.ts";
import { Batch } from "../../ffi/netlink/batch.ts";
import { NetlinkError } from "../../ffi/netlink/netlink_error.ts";
import { ipvsNamespaceTest } from "../support/ipvs.ts";
import { genlBytes } from "./genl_bytes.ts";

const PLAIN = { scheduler: "rr", flags: 0, timeout: 0, netmask: 32 };
const WEB: IpvsServiceId = { family: 4, protocol: IPPROTO.tcp, address: "10.96.0.1", port: 80 };
const DEST = { address: "10.244.1.5", port: 8080, forward: FORWARDING.masq, weight: 1 };

for (
  const [family, vip, one, two] of [
    [4, "10.96.0.1", "10.244.1.5", "10.244.2.5"],
    [6, "fd00:96::1", "fd00:244:1::5", "fd00:244:2::5"],
  ] as const
) {
  ipvsNamespaceTest(
    `encodeService() and encodeDest() come back from the kernel for IPv${family}`,
    (n) =>
      n.within(() => {
        using ipvs = IpvsSocket.open();
        const all = family === 4 ? 32 : 128;
        const service: IpvsServiceId = { family, protocol: IPPROTO.tcp, address: vip, port: 80 };
        const settings = {
          scheduler: "sh",
          flags: SVC_F.PERSISTENT | SVC_F.SCHED1 | SVC_F.SCHED2,
          timeout: 300,
          netmask: family === 4 ? 24 : 64,
        };
        const batch = new Batch();
        encodeService(ipvs, batch, "add", { ...service, ...settings });
        const dest = { port: 8080, forward: FORWARDING.masq, weight: 7, upper: 100, lower: 50 };
        encodeDest(ipvs, batch, "add", service, { ...dest, address: one });
        encodeDest(ipvs, batch, "add", service, {
          ...dest,
          address: two,
          port: 80,
          forward: FORWARDING.tunnel,
        });
        assert.deepEqual(ipvs.send(batch), []);
        const { stats, ...found } = getService(ipvs, service);
        assert.deepEqual(found, { ...service, ...settings });
        assert.equal(stats.connections, 0);
        const dests = listDests(ipvs, service).sort((a, b) => a.address < b.address ? -1 : 1);
        assert.deepEqual(
          dests.map((d) => [d.family, d.address, d.port, d.forward, d.weight, d.upper, d.lower]),
          [[family, one, 8080, 0, 7, 100, 50], [family, two, 80, 2, 7, 100, 50]],
        );

        batch.clear();
        encodeService(ipvs, batch, "change", {
          ...service,
          scheduler: "wrr",
          flags: 0,
          timeout: 0,
          netmask: all,
        });
        encodeDest(ipvs, batch, "change", service, { ...dest, address: one, weight: 0 });
        encodeDestDeletion(ipvs, batch, service, { address: two, port: 80 });
        assert.deepEqual(ipvs.send(batch), []);
        const [changed] = listServices(ipvs);
        assert.deepEqual([changed?.scheduler, changed?.flags], ["wrr", 0]);
        assert.deepEqual(listDests(ipvs, service).map((d) => d.weight), [0]);
        batch.clear();
        encodeServiceDeletion(ipvs, batch, service);
        ipvs.request(batch);
        assert.deepEqual(listServices(ipvs), []);
      }),
  );
}

ipvsNamespaceTest(
  "the bytes of encodeDest() are those that libnl's builders make",
  (n) =>
    n.within(() => {
      using ipvs = IpvsSocket.open();
      for (const id of [WEB, { ...WEB, family: 6, address: "fd00:96::1" } as IpvsServiceId]) {
        const dest = {
          ...DEST,
          address: id.family === 4 ? DEST.address : "fd00:244:1::5",
          upper: 5,
          lower: 3,
        };
        const batch = new Batch();
        encodeDest(ipvs, batch, "add", id, dest);
        assert.deepEqual(batch.bytes, genlBytes(ipvs.family, id, dest));
      }
    }),
);

ipvsNamespaceTest(
  "getInfo(), getTimeouts() and listSyncDaemons() read what is there",
  async (n) => {
    n.within(() => {
      using ipvs = IpvsSocket.open();
      const info = getInfo(ipvs);
      assert.match(info.version, /^1\.\d+\.\d+$/);
      assert.ok(info.tableSize >= 256);
      assert.deepEqual(getTimeouts(ipvs), { tcp: 900, tcpfin: 120, udp: 300 });
      setTimeouts(ipvs, { tcp: 1000, tcpfin: 0, udp: 60 });
      assert.deepEqual(getTimeouts(ipvs), { tcp: 1000, tcpfin: 120, udp: 60 });
      assert.deepEqual(listSyncDaemons(ipvs), []);
    });
    assert.match(await n.run("ipvsadm -L --timeout"), /1000 120 60/);
  },
);

ipvsNamespaceTest("listServices() shows those of ipvsadm, by firewall mark too", async (n) => {
  await n.run("ipvsadm -A -f 7 -s wlc");
  await n.run("ipvsadm -a -f 7 -r 10.244.1.5 -g -w 3");
  await n.run("ipvsadm -A -u 10.96.0.1:53 -s rr -o");
  n.within(() => {
    using ipvs = IpvsSocket.open();
    const services = listServices(ipvs);
    const marked = services.find((s) => "fwmark" in s);
    assert.deepEqual([marked && "fwmark" in marked && marked.fwmark, marked?.scheduler], [
      7,
      "wlc",
    ]);
    const dests = listDests(ipvs, { family: 4, fwmark: 7 });
    assert.deepEqual(dests.map((d) => [d.address, d.forward, d.weight]), [["10.244.1.5", 3, 3]]);
    const dns = services.find((s) => "port" in s && s.port === 53);
    assert.equal(dns?.flags, SVC_F.ONEPACKET);
    using proc = IpvsProc.open();
    proc.read();
    assert.deepEqual(
      proc.parse().map((s) => [s.protocol, s.port, s.onePacket, s.dests.length]).sort(),
      [["FWM", 7, false, 1], ["UDP", 53, true, 0]],
    );
  });
});

ipvsNamespaceTest(
  "send() names each message that failed, in order, with the errno",
  (n) =>
    n.within(() => {
      using ipvs = IpvsSocket.open();
      const batch = new Batch();
      encodeService(ipvs, batch, "add", { ...WEB, ...PLAIN });
      for (let index = 0; index < 2000; index++) {
        // Every hundredth is there already.
        const last = index % 100 === 50 ? index - 1 : index;
        const address = `10.244.${last >> 8}.${last & 255}`;
        encodeDest(ipvs, batch, "add", WEB, { ...DEST, address, upper: 0, lower: 0 });
      }
      const failures = ipvs.send(batch);
      assert.deepEqual(
        failures.map((failure) => failure.index),
        Array.from({ length: 20 }, (_, index) => index * 100 + 51),
      );
      assert.equal(failures[0]!.error.code, "EEXIST");
      assert.match(
        failures[0]!.error.message,
        /^Cannot add real server 10\.244\.0\.49:8080 of TCP 10\.96\.0\.1:80: EEXIST/,
      );
      batch.clear();
      encodeService(ipvs, batch, "add", { ...WEB, ...PLAIN, port: 81, scheduler: "nosuch" });
      assert.throws(() => ipvs.request(batch), (error) => {
        assert.ok(error instanceof NetlinkError);
        assert.equal(error.code, "ENOENT");
        return true;
      });
      assert.throws(() => getService(ipvs, { ...WEB, port: 82 }), { code: "ESRCH" });
      assert.equal(listDests(ipvs, WEB).length, 1980);
    }),
);

ipvsNamespaceTest("IpvsProc shows what was added, and its digest when something changed", (n) => {
  using proc = n.within(() => {
    using ipvs = IpvsSocket.open();
    const batch = new Batch();
    encodeService(ipvs, batch, "add", { ...WEB, ...PLAIN });
    encodeDest(ipvs, batch, "add", WEB, { ...DEST, upper: 0, lower: 0 });
    ipvs.request(batch);
    return IpvsProc.open();
  });
  // Outside the namespace, the open file still shows it.
  const before = proc.read();
  assert.equal(proc.read(), before);
  assert.deepEqual(proc.parse().map((s) => [s.address, s.dests.map((d) => d.address)]), [
    ["10.96.0.1", ["10.244.1.5"]],
  ]);
  n.within(() => {
    using ipvs = IpvsSocket.open();
    const batch = new Batch();
    encodeDest(ipvs, batch, "change", WEB, { ...DEST, weight: 2, upper: 0, lower: 0 });
    ipvs.request(batch);
  });
  assert.notEqual(proc.read(), before);
});

ipvsNamespaceTest(
  "sockets and files are freed: thousands leave no memory behind",
  (n) =>
    n.within(() => {
      const cycle = () => {
        using _ipvs = IpvsSocket.open();
        using _proc = IpvsProc.open();
      };
      for (let index = 0; index < 200; index++) cycle();
      const before = Deno.memoryUsage().rss;
      for (let index = 0; index < 1500; index++) cycle();
      const grown = (Deno.memoryUsage().rss - before) / 2 ** 20;
      // Their buffers alone would be 570 MiB.
      assert.ok(grown < 250, `grew by ${grown} MiB`);
    }),
);
