// Limits of bandwidth as this kernel has them, in a network namespace of the test's own.
import assert from "node:assert/strict";
import { addLink, changeLink, deleteLink, getLink } from "../../ffi/rtnl/link.ts";
import { deleteQueue, listQueues, setTokenBucket } from "../../ffi/rtnl/traffic.ts";
import { openRtnl } from "../../ffi/rtnl/rtnl.ts";
import { isLacking, keepShape, NoShapingError, shapeFault } from "../../core/container/shaping.ts";
import { removeHostEnd } from "../../core/container/wire.ts";
import { shaperIfname } from "../../core/container/wire_names.ts";
import { inNewNamespace } from "../support/namespace.ts";

const WIRE = "kv0123456789abc";

Deno.test("keepShape() limits both directions once, and puts right whatever somebody changed", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    addLink(rtnl, { name: WIRE, kind: "veth", mtu: 1450, up: true, peer: { name: "in" } });
    const wire = getLink(rtnl, WIRE)!;
    const limits = [
      { ingress: { rate: 8_000_000, burst: 800_000 }, egress: { rate: 16_000_000, burst: 8 } },
      // More than 32 bits of bytes a second, and a burst that takes longer than the kernel shows.
      { ingress: { rate: 80e9, burst: 8e9 }, egress: { rate: 800, burst: 2 ** 31 - 1 } },
    ];
    for (const limit of limits) {
      const keep = () => keepShape(rtnl, wire, limit, 1450, listQueues(rtnl), "web");
      const fault = () => shapeFault(rtnl, wire, limit, 1450);
      assert.match(fault() ?? "", /what it receives is not limited/);
      assert.equal(keep(), true);
      assert.equal(fault(), undefined);
      assert.equal(keep(), false, "nothing is done twice");
      const shaper = () => getLink(rtnl, shaperIfname(WIRE))!;
      const injuries: Record<string, () => void> = {
        "root deleted": () => deleteQueue(rtnl, wire.index, "root"),
        "ingress deleted": () => deleteQueue(rtnl, wire.index, "ingress"),
        "another rate": () =>
          setTokenBucket(rtnl, shaper().index, { rate: 9, burst: 2000, limit: 2000 }),
        "shaper down": () => changeLink(rtnl, shaper().index, { up: false }),
        "shaper deleted": () => deleteLink(rtnl, shaper().index),
      };
      for (const [what, injure] of Object.entries(injuries)) {
        injure();
        assert.notEqual(fault(), undefined, what);
        assert.equal(keep(), true, what);
        assert.equal(fault(), undefined, what);
      }
    }
    removeHostEnd(rtnl, WIRE);
    assert.equal(getLink(rtnl, WIRE), undefined);
    assert.equal(getLink(rtnl, shaperIfname(WIRE)), undefined);
  }));

Deno.test("keepShape() says so where the kernel cannot limit", () =>
  inNewNamespace(() => {
    using rtnl = openRtnl();
    let refusal: unknown;
    try {
      // What a kernel without ifb says is what any says of a kind that it does not know.
      addLink(rtnl, { name: "none", kind: "knet-none" });
    } catch (error) {
      refusal = error;
    }
    assert.ok(isLacking(refusal), `${refusal}`);
    const wire = { index: 1, name: "lo" } as NonNullable<ReturnType<typeof getLink>>;
    const without = {
      ...rtnl,
      portId: 0,
      send: () => [],
      dump: () => {},
      request: () => {
        throw refusal;
      },
    } as unknown as typeof rtnl;
    const limit = { ingress: { rate: 8000, burst: 8000 } };
    assert.throws(
      () => keepShape(without, wire, limit, 1450, [], "web"),
      (error) => error instanceof NoShapingError && error.exitCode === 3,
    );
  }));
