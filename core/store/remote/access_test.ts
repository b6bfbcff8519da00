import assert from "node:assert/strict";
import { KnetError } from "../../base/error.ts";
import { checkAccess, type Peer } from "./access.ts";
import { type CallName, CALLS } from "./calls.ts";

const node: Peer = { role: "node", nodeId: "n1" };
const about = (nodeId: string) => ({
  request: { nodeId },
  holder: { nodeId },
  own: { nodeId },
  change: { nodeId },
  selector: nodeId,
  nodeId,
});
const may = (peer: Peer, call: CallName, given: unknown = about("n1")) => {
  try {
    checkAccess(peer, call, given);
    return true;
  } catch (error) {
    assert.ok(error instanceof KnetError);
    assert.equal(error.exitCode, 4);
    assert.match(error.message, /^Cannot .*: .* is not allowed to/);
    return false;
  }
};
const names = Object.keys(CALLS) as CallName[];

Deno.test("checkAccess() lets an administrator ask everything, and a reader what reads", () => {
  assert.deepEqual(names.filter((name) => !may({ role: "admin" }, name)), []);
  assert.deepEqual(names.filter((name) => may({ role: "reader" }, name)), [
    "getConfig",
    "listLeases",
    "changesSince",
    "listServices",
    "getService",
    "listContainers",
    "info",
    "members",
    "follow",
    "position",
  ]);
});

Deno.test("checkAccess() lets a host change its own lease, and nothing else", () => {
  const writes = names.filter((name) => !may({ role: "reader" }, name));
  assert.deepEqual(writes.filter((name) => may(node, name)), [
    "acquireLease",
    "renewLease",
    "announceLease",
    "releaseLease",
    "putContainers",
    "joinReplica",
    "retire",
    "sweepDrained",
  ]);
  assert.deepEqual(writes.filter((name) => may(node, name, about("n2"))), ["sweepDrained"]);
});
