import assert from "node:assert/strict";
import { service } from "../../../tests/support/services.ts";
import { virtualServerOf } from "../../services/virtual_server.ts";
import { kernelServer } from "./kernel_server.ts";

Deno.test("kernelServer() leaves out what is withdrawn, and keeps what has weight 0", () => {
  const facts = { network: "10.244.0.0/16", subnet: "10.244.0.0/24", peers: new Set<string>() };
  const weights = (protocol: "tcp" | "udp" | "sctp") => {
    const dns = service("dns", { protocol, check: { type: "tcp" } });
    const server = virtualServerOf(dns, {
      isDown: (_, { address }) => address === "10.244.0.1",
      isDrained: () => false,
    });
    return [...kernelServer(server, facts).dests].map(([key, { weight }]) => `${key} ${weight}`);
  };
  assert.deepEqual(weights("udp"), ["10.244.1.1:8080 1"]);
  assert.deepEqual(weights("tcp"), ["10.244.0.1:8080 0", "10.244.1.1:8080 1"]);
  assert.deepEqual(weights("sctp"), weights("tcp"));
});
