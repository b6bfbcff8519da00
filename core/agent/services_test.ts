// A plane that fails on demand instead of the kernel; only an rtnetlink socket is opened.
import assert from "node:assert/strict";
import { SystemError } from "../../ffi/libc.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { sampleState } from "../../tests/support/samples.ts";
import { service } from "../../tests/support/services.ts";
import { NO_TIMEOUTS, type Service } from "../service/model.ts";
import { type Healed, type PlaneReconciled, ServicePlane } from "../service/plane.ts";
import { HostServices } from "./services.ts";

// Opens the C library, which stays open, outside of any test.
openRtnl()[Symbol.dispose]();

const NOTHING_DONE: PlaneReconciled = {
  operations: 0,
  changes: [],
  failures: [],
  problems: [],
  firewallDirty: false,
};
const unreadable = new SystemError(12, "read", "/proc/net/ip_vs"); // ENOMEM
const web = service("web");
const draining: Service = {
  ...web,
  destinations: web.destinations.map((one) => ({ ...one, draining: { deadline: 1 } })),
};

class FakePlane extends ServicePlane {
  fails: "" | "reconcile" | "check" | "checkVips" | "connections" = "";

  #answer<T>(to: FakePlane["fails"], answer: T): T {
    if (this.fails === to) throw unreadable;
    return answer;
  }
  override reconcile(): PlaneReconciled {
    return this.#answer("reconcile", NOTHING_DONE);
  }
  override check(): Healed | undefined {
    return this.#answer("check", undefined);
  }
  override checkVips(): Healed | undefined {
    return this.#answer("checkVips", undefined);
  }
  override connections(): undefined {
    return this.#answer("connections", undefined);
  }
}

/** Services of a host with one service, programmed once. */
function withServices(
  known: Service,
  run: (services: HostServices, plane: FakePlane) => void,
): void {
  const folder = Deno.makeTempDirSync({ prefix: "knet-services-" });
  try {
    using rtnl = openRtnl();
    const plane = new FakePlane(rtnl, undefined, { dataDir: folder });
    using services = new HostServices({
      ...{
        rtnl,
        nft: undefined,
        stateDir: folder,
        dataDir: folder,
        strictArp: false,
        adopt: false,
      },
      ...{ writeFirewall: () => {}, onDirty: () => {}, plane },
    });
    services.recall([known], NO_TIMEOUTS);
    services.configure(sampleState(), { has: () => false });
    services.reconcile();
    assert.deepEqual(services.warnings, []);
    run(services, plane);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("HostServices.tick() makes a warning of connections that cannot be counted", () =>
  withServices(draining, (services, plane) => {
    plane.fails = "connections";
    services.tick();
    services.tick();
    assert.deepEqual(services.warnings, [unreadable.message]);
    plane.fails = "";
    services.tick();
    assert.deepEqual(services.warnings, []);
  }));

Deno.test("HostServices.tick() withdraws a check's problem as soon as a check finds all well", () =>
  withServices(web, (services, plane) => {
    for (const failing of ["check", "checkVips"] as const) {
      plane.fails = failing;
      services.tick();
      services.noteKernel();
      assert.deepEqual(services.warnings, [unreadable.message]);
      plane.fails = "";
      services.noteKernel();
      assert.deepEqual(services.warnings, [unreadable.message]);
      services.tick();
      assert.deepEqual(services.warnings, []);
    }
  }));

Deno.test("HostServices.tick() keeps a reconcile's problem until one works: a kernel without IPVS has nothing to check", () =>
  withServices(web, (services, plane) => {
    plane.fails = "reconcile";
    services.reconcile();
    plane.fails = "";
    services.tick();
    assert.deepEqual(services.warnings, [unreadable.message]);
    services.reconcile();
    assert.deepEqual(services.warnings, []);
  }));
