import assert from "node:assert/strict";
import { RTA_GATEWAY, RTA_MULTIPATH, RTM } from "../linux/rtnetlink.ts";
import { Batch } from "../netlink/batch.ts";
import { messageView, walkMessages } from "../netlink/message.ts";
import { decodeRoute, encodeRoute, type Route, routeOf } from "./route.ts";

/** What is read of the messages in a batch. */
function read(batch: Batch): (Route | undefined)[] {
  const routes: (Route | undefined)[] = [];
  const bytes = batch.bytes;
  walkMessages(bytes, bytes.length, messageView(), (message) => {
    routes.push(decodeRoute(message));
  });
  return routes;
}

Deno.test("decodeRoute() reads the routers of both families, as encodeRoute() writes them", () => {
  const batch = new Batch();
  const gateways = ["192.168.2.1", "fe80::1"];
  for (const gateway of gateways) {
    encodeRoute(batch, "add", routeOf({ dst: "10.9.0.0/16", gateway, ifindex: 3 }));
  }
  assert.deepEqual(read(batch).map((route) => route?.gateway), gateways);
});

Deno.test("decodeRoute() reads several next hops, and stops where their lengths are wrong", () => {
  const hops = (lastLength: number) => {
    const batch = new Batch();
    batch.begin(RTM.NEWROUTE, 0, () => "");
    batch.u32(2); // AF_INET, 0.0.0.0/0
    batch.u32(254 | 1 << 24); // The main table, unicast
    batch.u32(0);
    const nest = batch.beginNest(RTA_MULTIPATH);
    batch.u16(16);
    batch.u8(0);
    batch.u8(2); // weight - 1
    batch.u32(3);
    batch.attrAddress(RTA_GATEWAY, "192.168.2.1");
    batch.u16(lastLength);
    batch.u8(16);
    batch.u8(0);
    batch.u32(4);
    batch.endNest(nest);
    batch.end();
    const [route] = read(batch);
    assert.equal(route?.multipath, true);
    return route?.hops;
  };
  const first = { ifindex: 3, gateway: "192.168.2.1", weight: 3, flags: 0 };
  assert.deepEqual(hops(8), [first, { ifindex: 4, weight: 1, flags: 16 }]);
  assert.deepEqual(hops(7), [first]);
  assert.deepEqual(hops(9), [first]);
});
