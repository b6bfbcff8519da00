import assert from "node:assert/strict";
import fc from "fast-check";
import { anyServices, service } from "../../tests/support/services.ts";
import { makeClusterConfig } from "../cluster/config.ts";
import { KnetError } from "../base/error.ts";
import type { ServiceView } from "./service_store.ts";
import { type ApplyPlan, editOf, planApply, planLines } from "./declare.ts";
import { NO_TIMEOUTS, realServerKey, type Service } from "./service.ts";

const config = makeClusterConfig({});
const NOW = 1_000_000;

function viewOf(services: readonly Service[], more: Partial<ServiceView> = {}): ServiceView {
  return {
    services: new Map(services.map((one) => [one.name, one])),
    unread: new Map(),
    timeouts: NO_TIMEOUTS,
    config,
    hosts: [],
    storeHosts: [],
    now: NOW,
    ...more,
  };
}

/** The store after a plan. */
function after(view: ServiceView, plan: ApplyPlan): ServiceView {
  const { put = [], remove = [], timeouts } = editOf(plan);
  const services = new Map(view.services);
  for (const name of remove) services.delete(name);
  for (const one of put) services.set(one.name, one);
  return { ...view, services, timeouts: timeouts ?? view.timeouts };
}

const actionsOf = (plan: ApplyPlan) => plan.actions.map(({ action, name }) => `${action} ${name}`);

Deno.test("planApply() creates, changes, keeps, and deletes only when asked to", () => {
  const view = viewOf([
    service("kept"),
    service("changed", { port: 81 }),
    service("old", { port: 82 }),
  ]);
  const wanted = {
    services: [
      service("kept"),
      service("changed", { port: 81, scheduler: "wlc" }),
      service("new", { port: 83 }),
    ],
  };
  const plan = planApply(view, wanted, { prune: false });
  assert.deepEqual(actionsOf(plan), ["change changed", "keep kept", "create new"]);
  assert.deepEqual(plan.actions[0]!.changes, ["scheduler rr → wlc"]);
  assert.deepEqual(
    actionsOf(planApply(view, wanted, { prune: true })),
    ["change changed", "keep kept", "create new", "delete old"],
  );
});

Deno.test("planApply() lets left-out real servers drain, and takes them in again", () => {
  const one = service("web", { drainTimeout: 60 });
  const fewer = { ...one, destinations: one.destinations.slice(0, 1) };
  const view = viewOf([one]);
  const plan = planApply(view, { services: [fewer] }, { prune: false });
  assert.deepEqual(plan.actions[0]!.changes, ["real server 10.244.1.1:8080 drains"]);
  const drained = after(view, plan);
  assert.deepEqual(drained.services.get("web")!.destinations[1]!.draining, {
    deadline: NOW + 60_000,
  });
  const later = { ...drained, now: NOW + 5000 };
  assert.deepEqual(actionsOf(planApply(later, { services: [fewer] }, { prune: false })), [
    "keep web",
  ]);
  assert.deepEqual(
    planApply(later, { services: [one] }, { prune: false }).actions[0]!.changes,
    ["real server 10.244.1.1:8080 drains no more"],
  );
});

Deno.test("planApply() drains nothing that cannot: udp, no time, or it does not fit any more", () => {
  const without = (request: Parameters<typeof service>[1]) => {
    const one = service("web", request);
    const view = viewOf([one]);
    const plan = planApply(view, { services: [{ ...one, destinations: [] }] }, { prune: false });
    return after(view, plan).services.get("web")!.destinations;
  };
  assert.deepEqual(without({ protocol: "udp" }), []);
  assert.deepEqual(without({ drainTimeout: 0 }), []);
  const one = service("web", { forward: "nat" });
  const moved = service("web", { forward: "dr", destinations: [{ address: "10.244.0.9" }] });
  const view = viewOf([one]);
  const plan = planApply(view, { services: [moved] }, { prune: false });
  assert.deepEqual(
    after(view, plan).services.get("web")!.destinations.map(realServerKey),
    ["10.244.0.9:80"],
  );
});

Deno.test("planApply() refuses clashes, hosts' own addresses and containers'", () => {
  const refused = (services: Service[], message: RegExp, view = viewOf([])) =>
    assert.throws(() => planApply(view, { services }, { prune: false }), (error) => {
      assert.ok(error instanceof KnetError);
      assert.equal(error.exitCode, 4);
      assert.match(error.message, message);
      return true;
    });
  refused(
    [service("b"), service("a")],
    /"a" at 10\.96\.0\.10:80\/tcp: service "b" has this address, port and protocol/,
  );
  refused(
    [service("new")],
    /"new" at 10\.96\.0\.10:80\/tcp: service "zold" has this address/,
    viewOf([service("zold")]),
  );
  refused([service("web", { vip: "10.244.3.4" })], /in the container network 10\.244\.0\.0\/16/);
  refused(
    [service("web", { vip: "192.168.2.5" })],
    /the underlay address of host "n5"/,
    viewOf([], { hosts: [{ nodeName: "n5", publicIp: "192.168.2.5" }] }),
  );
  refused([service("web")], /no cluster configuration/, viewOf([], { config: undefined }));
});

const six = (more: Parameters<typeof service>[1] = {}) =>
  service("web", { vip: "fd00:96::10", destinations: [{ address: "fd00::1" }], ...more });

Deno.test("planApply() refuses what knet does for the network's family only", () => {
  const refused = (wanted: Service, message: RegExp, view = viewOf([])) =>
    assert.throws(() => planApply(view, { services: [wanted] }, { prune: false }), (error) => {
      assert.ok(error instanceof KnetError);
      assert.equal(error.exitCode, 4);
      assert.match(error.message, message);
      return true;
    });
  const method = (forward: string) =>
    new RegExp(
      `"web" at \\[fd00:96::10\\]:80/tcp: the container network 10.244.0.0/16 is of IPv4, ` +
        `and for IPv6 beside it knet does not forward by ${forward}`,
    );
  refused(six({ forward: "dr" }), method("dr"));
  refused(six({ forward: "tunnel" }), method("tunnel"));
  refused(six({ masquerade: "always" }), /is of IPv4, and for IPv6 beside it knet does not masq/);
  refused(six({ forward: "dr" }), method("dr"), viewOf([six()]));
  const kept = six({ forward: "dr" });
  const plan = planApply(viewOf([kept]), { services: [kept] }, { prune: false });
  assert.deepEqual(actionsOf(plan), ["keep web"]);
  const config = makeClusterConfig({ network: "fd00:244::/48", subnetLen: 64 });
  planApply(viewOf([], { config }), { services: [kept] }, { prune: false });
  refused(service("web", { forward: "dr", destinations: [] }), /is of IPv6, and for IPv4/, {
    ...viewOf([]),
    config,
  });
});

Deno.test("planApply() warns of what it does not do for the other family", () => {
  const { warnings } = planApply(viewOf([]), { services: [six()] }, { prune: false });
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0]!,
    /^"web" is of IPv6 and the container network 10\.244\.0\.0\/16 of IPv4: nothing is masqueraded/,
  );
  const view = viewOf([six()]);
  const again = planApply(view, { services: [six({ port: 81 })] }, { prune: false });
  assert.deepEqual(again.warnings, []);
});

Deno.test("planApply() lets services exchange addresses, and take those of pruned ones", () => {
  const view = viewOf([service("one"), service("two", { port: 81 })]);
  const swapped = [service("one", { port: 81 }), service("two")];
  assert.equal(planApply(view, { services: swapped }, { prune: false }).actions.length, 2);
  assert.deepEqual(
    actionsOf(planApply(view, { services: [service("three")] }, { prune: true })),
    ["delete one", "create three", "delete two"],
  );
});

Deno.test("planApply() warns of addresses outside the service network, once they are new", () => {
  const outside = service("web", { vip: "203.0.113.9" });
  const plan = planApply(viewOf([]), { services: [outside] }, { prune: false });
  assert.match(plan.warnings[0]!, /203\.0\.113\.9.*outside the service network 10\.96\.0\.0\/16/);
  assert.deepEqual(
    planApply(viewOf([outside]), { services: [outside] }, { prune: false }).warnings,
    [],
  );
});

Deno.test("planApply() sets timeouts that differ", () => {
  const view = viewOf([], { timeouts: { tcp: 900, tcpfin: 0, udp: 60 } });
  const plan = (timeouts: Record<string, number>) =>
    planApply(view, { services: [], timeouts }, { prune: false }).timeouts;
  assert.equal(plan({ tcp: 900 }), undefined);
  assert.deepEqual(plan({ tcpfin: 30 }), { tcp: 900, tcpfin: 30, udp: 60 });
});

/** Whether knet can have a service whatever the family of the network. */
const anywhere = ({ family, forward, masquerade }: Service) =>
  family === 4 || forward === "nat" && masquerade !== "always";

Deno.test("planApply() leads to what is wanted, and changes nothing when it is applied again", () => {
  fc.assert(
    fc.property(anyServices(), anyServices(), fc.boolean(), (present, wanted, prune) => {
      wanted = wanted.filter(anywhere);
      const view = viewOf(present);
      const first = after(view, planApply(view, { services: wanted }, { prune }));
      for (const one of wanted) {
        const held = first.services.get(one.name)!;
        const kept = held.destinations.filter(({ draining }) => draining === undefined);
        assert.deepEqual({ ...held, destinations: kept }, one);
      }
      const names = new Set(wanted.map(({ name }) => name));
      for (const one of present) {
        if (!names.has(one.name)) assert.equal(first.services.has(one.name), !prune);
      }
      const again = planApply({ ...first, now: NOW + 1000 }, { services: wanted }, { prune });
      assert.deepEqual(again.actions.filter(({ action }) => action !== "keep"), []);
      assert.deepEqual(planLines(again), []);
    }),
  );
});
