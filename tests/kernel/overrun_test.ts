// What becomes of requests whose answers the kernel dropped, in a network namespace of the test's own.
import assert from "node:assert/strict";
import { libc } from "../../ffi/libc.ts";
import { SO_RCVBUFFORCE, SOL_SOCKET } from "../../ffi/linux/socket.ts";
import { Batch, NLM_F_DUMP, NLM_F_REQUEST } from "../../ffi/netlink/batch.ts";
import { NETLINK_NETFILTER } from "../../ffi/linux/netlink.ts";
import { NetlinkSocket } from "../../ffi/netlink/socket.ts";
import { setOption } from "../../ffi/netlink/socket_options.ts";
import { listLinks } from "../../ffi/rtnl/link.ts";
import { encodeNeighbour } from "../../ffi/rtnl/neighbour.ts";
import { openRtnl, RTM } from "../../ffi/rtnl/rtnl.ts";
import { inNewNamespace } from "../support/namespace.ts";

/** Neighbours on a device that does not exist: every one is refused. */
function refusals(count: number): Batch {
  const batch = new Batch();
  for (let n = 0; n < count; n++) {
    encodeNeighbour(batch, "replace", {
      family: 4,
      ifindex: 4711,
      dst: `10.10.${n >> 8}.${n & 255}`,
      mac: "02:00:00:00:00:02",
      state: 0x80,
      flags: 0,
    });
  }
  return batch;
}

Deno.test("send() has an answer to each of tens of thousands of refused messages, on the smallest buffer too", () =>
  inNewNamespace(() => {
    for (const receiveBuffer of [undefined, 1]) {
      using rtnl = openRtnl(receiveBuffer === undefined ? {} : { receiveBuffer });
      const failures = rtnl.send(refusals(30_000));
      assert.equal(failures.length, 30_000, `${receiveBuffer}`);
      assert.ok(failures.every(({ index, error }, n) => index === n && error.code === "ENODEV"));
      assert.equal(listLinks(rtnl).length, 1, "the socket is in order afterwards");
    }
  }));

/** Requests that the kernel does not know: nlctrl's command 255, and nf_tables' message 255. */
const UNKNOWN = [
  { protocol: 16, type: 0x10, header: 0x01ff, code: "EOPNOTSUPP" }, // NETLINK_GENERIC, GENL_ID_CTRL
  { protocol: NETLINK_NETFILTER, type: (10 << 8) | 255, header: 0, code: "EINVAL" },
];

Deno.test("send() has all answers of the other protocols, too", () =>
  inNewNamespace(() => {
    for (const { protocol, type, header, code } of UNKNOWN) {
      using socket = NetlinkSocket.open(protocol, { receiveBuffer: 1 });
      const batch = new Batch();
      for (let n = 0; n < 2000; n++) {
        batch.begin(type, NLM_F_REQUEST, () => "try");
        batch.u32(header);
        batch.end();
      }
      const failures = socket.send(batch);
      assert.equal(failures.length, 2000, `${protocol}`);
      assert.deepEqual([...new Set(failures.map(({ error }) => error.code))], [code]);
    }
  }));

/** Makes the receive buffer smaller than the socket believes it is: a kernel that counts more for an answer. */
function shrink(rtnl: NetlinkSocket): void {
  assert.ok(setOption(rtnl.fd, SOL_SOCKET, SO_RCVBUFFORCE, 1));
}

Deno.test("send() waits for nothing that the kernel dropped, and says of what the answer was lost", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    shrink(rtnl);
    const failures = rtnl.send(refusals(3000));
    assert.deepEqual(failures.map(({ index }) => index), [...Array(3000).keys()]);
    const lost = failures.filter(({ error }) => error.code === "ENOBUFS");
    assert.ok(lost.length > 2000 && lost.length < 3000, `${lost.length}`);
    assert.match(lost[0]!.error.message, /the answer was lost/);
    assert.equal(listLinks(rtnl).length, 1, "the socket is in order afterwards");
    assert.throws(() => rtnl.request(refusals(1)), { code: "ENODEV" });
  }));

Deno.test("dump() begins again after an answer that was dropped, of an earlier request's too", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    shrink(rtnl);
    let meddled = false;
    const names: string[] = [];
    rtnl.dump(
      (batch) => {
        batch.begin(RTM.GETLINK, NLM_F_REQUEST | NLM_F_DUMP, () => "list links");
        for (let word = 0; word < 4; word++) batch.u32(0);
        batch.end();
        // Refused before the dump is asked for, and nobody has read that.
        if (!meddled) flood(rtnl);
        meddled = true;
      },
      () => names.push("lo"),
      { restart: () => names.splice(0) },
    );
    assert.deepEqual(names, ["lo"]);
  }));

/** Has the kernel refuse more than the buffer holds, and reads none of it. */
function flood(rtnl: NetlinkSocket): void {
  const batch = refusals(100);
  const sent = libc().sendto(rtnl.fd, batch.bytes, BigInt(batch.bytes.length), 0, null, 0);
  assert.equal(Number(sent), batch.bytes.length);
}

Deno.test("a request ends with ETIMEDOUT when the kernel does not answer", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl({ patience: 0.2 });
    const before = performance.now();
    assert.throws(
      () =>
        rtnl.dump((batch) => {
          // No request: the kernel passes over it in silence.
          batch.begin(RTM.GETLINK, 0, () => "list links");
          batch.end();
        }, () => {}),
      { code: "ETIMEDOUT", message: /^Cannot list links: ETIMEDOUT \(the kernel does not answer/ },
    );
    assert.ok(performance.now() - before < 5000);
    assert.equal(listLinks(rtnl).length, 1, "the socket is in order afterwards");
  }));
