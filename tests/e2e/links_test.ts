/**
 * Two links with a router between them: which peers each backend reaches, and how; and that a peer which moves
 * from a tunnel to a plain route or back costs no packet.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { StatusReport } from "../../core/inspect/status.ts";
import { BACKENDS, directCase } from "../support/backend.ts";
import { assertFullMesh, containersOf, startCluster } from "../support/cluster.ts";
import { type Container, PingStream } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { type Lab, routerOn, STORES } from "../support/lab.ts";
import { labSuite, type SuiteOptions } from "../support/suite.ts";
import { payload, sha256 } from "../support/transfer.ts";
import { report, sleep, until } from "../support/wait.ts";
import { converged, type RouteRow } from "../support/walk.ts";

const BYTES = 20_000_000;
const NEAR_PING = 0.005;

/** The reached and the others, from the view of host 1 of a lab with hosts on links 1, 1 and 2. */
const only = (containers: readonly Container[], ...hosts: Host[]) =>
  containers.filter((container) => hosts.includes(container.host));

for (const [backend, store] of BACKENDS.flatMap((b) => STORES.map((s) => [b, s] as const))) {
  const setup = `${backend.name}, ${store}`;
  const test = labSuite({
    hosts: 3,
    store,
    backend,
    links: [1, 1, 2],
    setUp: (lab) => startCluster(lab, { containers: 1 }),
  });

  test(`6 (${setup}): over a router, containers reach whom the backend can reach`, async (lab) => {
    const containers = containersOf(lab.hosts);
    if (backend.crossesRouters) {
      await assertFullMesh(containers);
      await assertIntact(containers[0]!, containers[2]!);
      return;
    }
    const [first, second, third] = lab.hosts;
    await assertFullMesh(only(containers, first!, second!));
    await assertIntact(containers[0]!, containers[1]!);
    assert.equal(await containers[0]!.ping(only(containers, third!)[0]!.address), false);
  });

  test(`6 (${setup}): status says by what each peer is reached, with an agent and without`, async (lab) => {
    const host = lab.host(1);
    const near = backend.plainOnLink ? "direct" : backend.type;
    const far = backend.crossesRouters ? backend.type : "none";
    const check = async () => {
      const { peers } = await host.knetJson<StatusReport>("status");
      const rows = peers.map((p) => [p.name, p.via, p.route, p.warning !== undefined]);
      assert.deepEqual(rows.sort(), [
        ["h2", near, true, false],
        ["h3", far, far !== "none", far === "none"],
      ]);
    };
    await check();
    await host.stop();
    await check();
    await host.join();
    await converged(lab.hosts);
  });

  if (!backend.crossesRouters) {
    test(`6 (${setup}): a peer behind a router is warned of, in the log once and in status`, async (lab) => {
      const host = lab.host(1);
      for (let n = 0; n < 2; n++) {
        await host.run(`ip route del ${await lab.host(2).subnet()} proto 107`);
        await converged(lab.hosts);
      }
      const warnings = host.agent!.stderr.split("\n").filter((line) => /Cannot reach/.test(line));
      assert.equal(warnings.length, 1, warnings.join("\n"));
      assert.match(warnings[0]!, /h3 .*192\.168\.3\.103 is not on the link of eth0/);
      assert.match((await host.knet("status")).stdout, /192\.168\.3\.103 is not on the link/);
      const { stdout } = await host.knet("doctor", { check: false });
      assert.match(stdout, /host-gw has no route to h3 \(192\.168\.3\.103\)/);
    });
  }
}

async function assertIntact(reader: Container, server: Container): Promise<void> {
  await using _server = await server.serve(BYTES);
  const [transfer] = await reader.fetch([server.address]);
  assert.equal(transfer?.bytes, BYTES);
  assert.equal(transfer?.sha256, sha256(payload(BYTES)));
}

if (BACKENDS.includes(directCase)) {
  const direct: SuiteOptions = {
    hosts: 3,
    store: "sqlite",
    backend: directCase,
    links: [1, 1, 2],
    setUp: (lab) => startCluster(lab, { containers: 1 }),
  };
  const test = labSuite(direct);

  /** Waits until host 1 sends packets for a peer's subnet by this device. */
  const goesBy = async (lab: Lab, peer: Host, device: string) => {
    const subnet = await peer.subnet();
    await until(`h1 reaches ${peer.name} by ${device}`, async () => {
      const [route] = await lab.host(1).json<RouteRow[]>(`ip -j route show ${subnet}`);
      return route?.dev === device;
    });
  };

  /** Runs some moves under pings both ways between host 1 and a peer; each move is given time to settle. */
  const lossOver = async (lab: Lab, peer: Host, moves: readonly (() => Promise<void>)[]) => {
    const [near, far] = [lab.host(1).containers[0]!, peer.containers[0]!];
    const streams = [
      await PingStream.start(near, far.address, NEAR_PING),
      await PingStream.start(far, near.address, NEAR_PING),
    ];
    try {
      for (const move of moves) {
        await move();
        await sleep(300);
      }
      return await Promise.all(streams.map((stream) => stream.stop()));
    } finally {
      for (const stream of streams) await stream[Symbol.asyncDispose]();
    }
  };

  const assertNone = (what: string, counts: readonly { sent: number; lost: number }[]) => {
    const sent = counts.reduce((sum, count) => sum + count.sent, 0);
    const lost = counts.reduce((sum, count) => sum + count.lost, 0);
    report(`6 (vxlan-direct): ${what}: ${sent} pings, ${lost} lost`);
    assert.equal(lost, 0, what);
  };

  test("6 (vxlan-direct): a route to a peer by the router puts it into the tunnel, without loss", async (lab) => {
    const [host, peer] = [lab.host(1), lab.host(2)];
    const around = `${peer.address}/32 via ${routerOn(1)}`;
    const move = [
      () => host.run(`ip route add ${around}`).then(() => goesBy(lab, peer, "knet.1")),
      () => host.run(`ip route del ${around}`).then(() => goesBy(lab, peer, "eth0")),
    ];
    const counts = await lossOver(lab, peer, [...move, ...move, ...move]);
    await converged(lab.hosts);
    assertNone("six moves by a route", counts);
  });

  test("6 (vxlan-direct): a changed prefix length of the underlay's address moves peers, without loss", async (lab) => {
    const [host, peer] = [lab.host(1), lab.host(2)];
    const change = (from: number, to: number) =>
      host.sh(
        `ip addr add ${host.address}/${to} dev eth0; ip addr del ${host.address}/${from} dev eth0`,
      );
    const move = [
      () => change(24, 32).then(() => goesBy(lab, peer, "knet.1")),
      () => change(32, 24).then(() => goesBy(lab, peer, "eth0")),
    ];
    const counts = await lossOver(lab, peer, [...move, ...move, ...move]);
    await converged(lab.hosts);
    assertNone("six moves by a prefix length", counts);
  });

  test(
    "6 (vxlan-direct): a peer that comes to the same link is reached by a plain route, without loss",
    async (lab) => {
      const peer = lab.host(3);
      const address = peer.address;
      await lab.addInterface(peer, "eth1", 1);
      await peer.run("ip addr add 192.168.2.103/24 dev eth1");
      const settle = (device: string) => goesBy(lab, peer, device);
      const restart = async (iface: string) => {
        await peer.stop();
        await peer.join({ args: ["--iface", iface] });
      };
      const counts = await lossOver(lab, peer, [() => restart("eth1").then(() => settle("eth0"))]);
      // Back: its datagrams have a source that host 1 takes for no peer's until it has read the store.
      const back = await lossOver(lab, peer, [() => restart("eth0").then(() => settle("knet.1"))]);
      report(
        `6 (vxlan-direct): back behind the router: ${back[0]!.lost} and ${
          back[1]!.lost
        } pings lost ` +
          `at one each ${NEAR_PING * 1000} ms`,
      );
      await peer.run("ip link delete eth1");
      assert.equal(peer.address, address);
      await converged(lab.hosts);
      await assertFullMesh(containersOf(lab.hosts));
      assertNone("a peer that came to the link", counts);
    },
  );
}
