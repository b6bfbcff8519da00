// Real sockets on loopback; nothing of the kernel's IPVS.
import assert from "node:assert/strict";
import { service } from "../../tests/support/services.ts";
import { monotonicClock } from "../base/clock.ts";
import { NO_TIMEOUTS, realServerKey, type Service } from "../services/service.ts";
import { ServiceMonitor } from "./monitor.ts";
import { connectionsDecided } from "../../ffi/tcp.ts";
import { libc } from "../../ffi/libc.ts";
import { reportServices } from "../inspect/service_report.ts";

// Opens the C library, which stays open, outside of any test.
libc();
connectionsDecided([]);

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = monotonicClock() + 10_000;
  while (!holds()) {
    if (monotonicClock() > deadline) throw new Error(`Not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A monitor with a state directory, and what it told. */
async function withState(
  run: (
    start: () => { monitor: ServiceMonitor; told: string[] },
    stateDir: string,
  ) => Promise<void>,
): Promise<void> {
  const stateDir = await Deno.makeTempDir({ prefix: "knet-monitor-" });
  const made: ServiceMonitor[] = [];
  try {
    await run(() => {
      const told: string[] = [];
      const monitor = new ServiceMonitor({ stateDir, onChange: (names) => told.push(...names) });
      made.push(monitor);
      return { monitor, told };
    }, stateDir);
  } finally {
    for (const monitor of made) monitor[Symbol.dispose]();
    await until("checks have ended", () => made.every(({ checks }) => checks.inFlight === 0));
    await Deno.remove(stateDir, { recursive: true });
  }
}

function draining(one: Service, deadline: number): Service {
  const [first, ...rest] = one.destinations;
  return { ...one, destinations: [{ ...first!, draining: { deadline } }, ...rest] };
}

const keys = (monitor: ServiceMonitor, name = "web") =>
  monitor.virtualServers.get(name)!.realServers.map((one) => `${realServerKey(one)} ${one.weight}`);

const NOW = 1_700_000_000_000;
const web = service("web");

/** A loopback real server would be refused by the rules: every host has another. The checker does not mind. */
function onLoopback(port: number, check: Service["check"]): Service {
  return {
    ...web,
    check,
    destinations: [{ address: "127.0.0.1", port, weight: 5, upper: 0, lower: 0 }],
    onEmpty: "reject",
  };
}
const fast = { type: "tcp", interval: 100, timeout: 100, rise: 1, fall: 2 } as const;

Deno.test("ServiceMonitor computes virtual servers of what the store has, and forgets the rest", () =>
  withState((start) => {
    const { monitor, told } = start();
    monitor.setServices([web, service("tls", { port: 443 })], { ...NO_TIMEOUTS, tcp: 60 }, NOW);
    assert.deepEqual([...monitor.virtualServers.keys()], ["web", "tls"]);
    assert.equal(monitor.desired.timeouts.tcp, 60);
    monitor.changeServices([service("db", { port: 5432 })], ["tls"], undefined, NOW);
    assert.deepEqual([...monitor.virtualServers.keys()], ["web", "db"]);
    assert.equal(monitor.desired.timeouts.tcp, 60);
    monitor.setServices([web], NO_TIMEOUTS, NOW);
    assert.deepEqual([...monitor.virtualServers.keys()], ["web"]);
    assert.deepEqual(told, []);
    return Promise.resolve();
  }));

Deno.test("ServiceMonitor takes out a real server that fails, and remembers it when it starts again", () =>
  withState(async (start) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const one = onLoopback(listener.addr.port, fast);
    const { monitor, told } = start();
    monitor.setServices([one], NO_TIMEOUTS, NOW);
    await until("it is known", () => monitor.health(one, one.destinations[0]!)!.known);
    assert.deepEqual(keys(monitor), [`127.0.0.1:${listener.addr.port} 5`]);
    listener.close();
    await until("it is told", () => told.length > 0);
    assert.deepEqual(keys(monitor), [`127.0.0.1:${listener.addr.port} 0`]);
    const [report] = reportServices(monitor, () => undefined);
    assert.equal(report!.realServers[0]!.health, "down");
    assert.equal(report!.realServers[0]!.detail, "connection refused");
    monitor[Symbol.dispose]();

    const again = start().monitor;
    again.setServices([one], NO_TIMEOUTS, NOW);
    assert.deepEqual(keys(again), [`127.0.0.1:${listener.addr.port} 0`]);
    // With another pace it is another check, of a real server that failed none the less.
    again.changeServices([{ ...one, check: { ...fast, fall: 9 } }], [], undefined, NOW);
    assert.deepEqual(keys(again), [`127.0.0.1:${listener.addr.port} 0`]);
    again.changeServices([{ ...one, check: { type: "none" } }], [], undefined, NOW);
    assert.deepEqual(keys(again), [`127.0.0.1:${listener.addr.port} 5`]);
    assert.equal(again.checks.size, 0);
  }));

Deno.test("ServiceMonitor lets go of a draining real server without connections, and remembers it", () =>
  withState(async (start) => {
    const { monitor, told } = start();
    const one = draining(web, NOW + 600_000);
    monitor.setServices([one], NO_TIMEOUTS, NOW);
    assert.equal(monitor.draining, true);
    assert.deepEqual(keys(monitor), ["10.244.0.1:8080 0", "10.244.1.1:8080 1"]);
    // Before a second is over, no connections prove nothing.
    monitor.noteConnections(() => ({ active: 0, inactive: 0 }));
    assert.equal(monitor.draining, true);
    await new Promise((resolve) => setTimeout(resolve, 1050));
    const asked: string[] = [];
    monitor.noteConnections((name, realServer) => {
      asked.push(`${name} ${realServer}`);
      return { active: 0, inactive: 1 };
    });
    assert.deepEqual(asked, ["web 10.244.0.1:8080"]);
    assert.equal(monitor.draining, true);
    monitor.noteConnections(() => ({ active: 0, inactive: 0 }));
    assert.equal(monitor.draining, false);
    assert.deepEqual(told, ["web"]);
    assert.deepEqual(keys(monitor), ["10.244.1.1:8080 1"]);
    assert.equal(reportServices(monitor, () => undefined)[0]!.realServers[0]!.drain, "drained");
    monitor[Symbol.dispose]();

    const again = start().monitor;
    again.setServices([one], NO_TIMEOUTS, NOW);
    assert.deepEqual(keys(again), ["10.244.1.1:8080 1"]);
    // Taken in, and out anew: that is another drain.
    again.changeServices([web], [], undefined, NOW);
    assert.deepEqual(keys(again), ["10.244.0.1:8080 1", "10.244.1.1:8080 1"]);
    again.changeServices([draining(web, NOW + 700_000)], [], undefined, NOW);
    assert.deepEqual(keys(again), ["10.244.0.1:8080 0", "10.244.1.1:8080 1"]);
  }));

Deno.test("ServiceMonitor lets go of a draining real server when its time is over", () =>
  withState(async (start) => {
    const { monitor, told } = start();
    monitor.setServices([draining(web, NOW + 300)], NO_TIMEOUTS, NOW);
    assert.deepEqual(keys(monitor), ["10.244.0.1:8080 0", "10.244.1.1:8080 1"]);
    await until("its time is over", () => told.length > 0);
    assert.deepEqual(keys(monitor), ["10.244.1.1:8080 1"]);
    monitor.setServices([draining(web, NOW - 1)], NO_TIMEOUTS, NOW);
    assert.deepEqual(keys(monitor), ["10.244.1.1:8080 1"]);
  }));

Deno.test("ServiceMonitor ends no drain by its deadline before the store has said what time it is", () =>
  withState(async (start) => {
    const { monitor, told } = start();
    const one = draining(web, NOW);
    // What a snapshot kept, however long ago by this host's clock.
    monitor.setServices([one], NO_TIMEOUTS, undefined);
    assert.equal(monitor.draining, true);
    assert.deepEqual(keys(monitor), ["10.244.0.1:8080 0", "10.244.1.1:8080 1"]);
    const began = monotonicClock();
    monitor.setServices([one], NO_TIMEOUTS, NOW - 300);
    await until("its time is over by the store's clock", () => told.length > 0);
    assert.ok(monotonicClock() - began >= 299);
    assert.deepEqual(keys(monitor), ["10.244.1.1:8080 1"]);
    monitor[Symbol.dispose]();

    const again = start().monitor;
    again.setServices([one], NO_TIMEOUTS, undefined);
    assert.deepEqual(keys(again), ["10.244.1.1:8080 1"]);
  }));

Deno.test("ServiceMonitor judges a drain anew by what the store says of the time", () =>
  withState((start) => {
    const { monitor } = start();
    const one = draining(web, NOW);
    monitor.setServices([one], NO_TIMEOUTS, NOW - 600_000);
    monitor.changeServices([one], [], undefined, NOW + 1);
    assert.equal(monitor.draining, false);
    assert.deepEqual(keys(monitor), ["10.244.1.1:8080 1"]);
    return Promise.resolve();
  }));

Deno.test("ServiceMonitor goes on without what it remembers when that makes no sense", () =>
  withState(async (start, stateDir) => {
    for (const text of ["{", "[]", '{"version":2}', '{"version":1,"drained":7}']) {
      await Deno.writeTextFile(`${stateDir}/services.json`, text);
      const { monitor } = start();
      monitor.setServices([web], NO_TIMEOUTS, NOW);
      assert.deepEqual(keys(monitor), ["10.244.0.1:8080 1", "10.244.1.1:8080 1"]);
      monitor[Symbol.dispose]();
    }
  }));
