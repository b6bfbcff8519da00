// Services of a kernel that fails on demand; only an rtnetlink socket is opened.
import assert from "node:assert/strict";
import { SystemError } from "../../ffi/libc.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { sampleState } from "../../tests/support/samples.ts";
import { service } from "../../tests/support/services.ts";
import { NO_TIMEOUTS, type Service } from "../services/service.ts";
import {
  type Healed,
  KernelServices,
  type ServicesReconciled,
} from "../kernel/ipvs/kernel_services.ts";
import { realServersOf } from "../container/real_servers.ts";
import { HostServices } from "./host_services.ts";

// Opens the C library, which stays open, outside of any test.
openRtnl()[Symbol.dispose]();

const NOTHING_DONE: ServicesReconciled = {
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

class FakeKernel extends KernelServices {
  fails: "" | "reconcile" | "check" | "checkVips" | "connections" = "";

  #answer<T>(to: FakeKernel["fails"], answer: T): T {
    if (this.fails === to) throw unreadable;
    return answer;
  }
  override reconcile(): ServicesReconciled {
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
  run: (services: HostServices, kernel: FakeKernel) => void,
): void {
  const folder = Deno.makeTempDirSync({ prefix: "knet-services-" });
  try {
    using rtnl = openRtnl();
    const kernel = new FakeKernel(rtnl, undefined, { dataDir: folder, realServers: realServersOf });
    using services = new HostServices({
      ...{
        rtnl,
        nft: undefined,
        stateDir: folder,
        dataDir: folder,
        strictArp: false,
        adopt: false,
      },
      ...{ writeFirewall: () => {}, onDirty: () => {}, kernel },
    });
    services.recall([known], NO_TIMEOUTS);
    services.configure(sampleState(), new Set());
    services.reconcile();
    assert.deepEqual(services.warnings, []);
    run(services, kernel);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("HostServices.tick() makes a warning of connections that cannot be counted", () =>
  withServices(draining, (services, kernel) => {
    kernel.fails = "connections";
    services.tick();
    services.tick();
    assert.deepEqual(services.warnings, [unreadable.message]);
    kernel.fails = "";
    services.tick();
    assert.deepEqual(services.warnings, []);
  }));

Deno.test("HostServices.tick() withdraws a check's problem as soon as a check finds all well", () =>
  withServices(web, (services, kernel) => {
    for (const failing of ["check", "checkVips"] as const) {
      kernel.fails = failing;
      services.tick();
      services.noteKernel();
      assert.deepEqual(services.warnings, [unreadable.message]);
      kernel.fails = "";
      services.noteKernel();
      assert.deepEqual(services.warnings, [unreadable.message]);
      services.tick();
      assert.deepEqual(services.warnings, []);
    }
  }));

Deno.test("HostServices.tick() keeps a reconcile's problem until one works: a kernel without IPVS has nothing to check", () =>
  withServices(web, (services, kernel) => {
    kernel.fails = "reconcile";
    services.reconcile();
    kernel.fails = "";
    services.tick();
    assert.deepEqual(services.warnings, [unreadable.message]);
    services.reconcile();
    assert.deepEqual(services.warnings, []);
  }));
