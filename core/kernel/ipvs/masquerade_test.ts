import assert from "node:assert/strict";
import type { VirtualServer } from "../../services/service.ts";
import { MasqueradeKeeper } from "./masquerade.ts";

const server = (port: number, address = "10.96.0.1"): VirtualServer => ({
  ...{ service: `s${port}`, family: address.includes(":") ? 6 : 4, protocol: "tcp", address, port },
  ...{ scheduler: "rr", schedulerFlags: [], persistent: 0, persistenceNetmask: 32 },
  ...{ onePacket: false, masquerade: "auto", realServers: [] },
});

const open = (keeper: MasqueradeKeeper, name = "svc-open") => keeper.sets?.get(name);

Deno.test("widen() masquerades more before there is more, and lets less be answered before there is less", () => {
  const keeper = new MasqueradeKeeper(undefined);
  keeper.widen([server(80), server(81)], 4);
  keeper.narrow(4);
  assert.deepEqual(open(keeper), ["10.96.0.1 . 6 . 80", "10.96.0.1 . 6 . 81"]);
  keeper.widen([server(81), server(82)], 4);
  assert.deepEqual(open(keeper), ["10.96.0.1 . 6 . 81"]);
  assert.deepEqual(
    keeper.sets?.get("svc-auto-tcp"),
    ["10.96.0.1 . 80", "10.96.0.1 . 81", "10.96.0.1 . 82"],
  );
  keeper.narrow(4);
  assert.deepEqual(open(keeper), ["10.96.0.1 . 6 . 81", "10.96.0.1 . 6 . 82"]);
});

Deno.test("widen() keeps sets for former virtual IPs when there is no service any more, and none for nobody's", () => {
  const keeper = new MasqueradeKeeper(undefined);
  keeper.widen([server(80)], 4);
  keeper.narrow(4);
  keeper.widen([], 4, [], [], ["10.96.0.1", "fd00::1"]);
  keeper.narrow(4);
  assert.deepEqual(open(keeper, "svc-former"), ["10.96.0.1"]);
  assert.deepEqual(open(keeper, "svc-other-former"), ["fd00::1"]);
  assert.deepEqual(open(keeper, "svc-vips"), []);
  keeper.widen([], 4);
  keeper.narrow(4);
  assert.equal(keeper.sets, undefined);
});

Deno.test("narrow() keeps closed where the kernel refused the virtual server, until it has it", () => {
  const keeper = new MasqueradeKeeper(undefined);
  const all = [server(22), server(80), server(22, "fd00::1")];
  for (let round = 0; round < 2; round++) {
    keeper.widen(all, 4);
    keeper.narrow(4, [server(22), server(22, "fd00::1")]);
    assert.deepEqual(open(keeper), ["10.96.0.1 . 6 . 80"]);
    assert.deepEqual(open(keeper, "svc-other-open"), []);
    assert.deepEqual(keeper.sets?.get("svc-vips"), ["10.96.0.1"]);
  }
  keeper.widen(all, 4);
  keeper.narrow(4);
  assert.deepEqual(open(keeper, "svc-other-open"), ["fd00::1 . 6 . 22"]);
});
