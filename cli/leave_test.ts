import assert from "node:assert/strict";
import { leaveText } from "./leave.ts";

Deno.test("leaveText() says what became of the certificate, and what is to be done where it is good still", () => {
  const done = { released: "10.244.1.0/24", devices: ["knet.1"] };
  assert.doesNotMatch(leaveText(done), /certificate/);
  const revoked = { ...done, certificate: { nodeId: "n1", revoked: true } };
  assert.match(leaveText(revoked), /Revoked its certificate: it comes back by a new token$/);
  const left = { ...done, certificate: { nodeId: "n1", revoked: false, why: "no answer" } };
  for (const text of [leaveText(left), leaveText(left, "host-4")]) {
    assert.match(text, /could not be revoked \(no answer\): run knet token revoke n1 on a host/);
  }
});
