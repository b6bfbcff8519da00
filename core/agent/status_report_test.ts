import assert from "node:assert/strict";
import { sampleLease } from "../../tests/support/samples.ts";
import { sentenceOf } from "./status_report.ts";

Deno.test("sentenceOf() says what needs an eye before how it goes", () => {
  const ok = { state: "ok", detail: "sqlite:knet.db" } as const;
  const away = { state: "away", detail: "connection refused" } as const;
  const lease = sampleLease();
  const peers = [sampleLease({ nodeId: "n2" })];
  const says = (
    health: typeof ok | typeof away,
    { takenOver, problem, ready = true }: {
      takenOver?: ReturnType<typeof sampleLease>;
      problem?: string;
      ready?: boolean;
    } = {},
  ) =>
    sentenceOf({
      lease,
      membership: { health, takenOver },
      network: { ready, problem, overlays: { peers } },
    });
  assert.equal(says(ok), "10.244.1.0/24, 1 peer");
  assert.equal(says(ok, { ready: false }), "joining");
  assert.equal(says(away), "waiting for the store: connection refused");
  const takenOver = sampleLease({ nodeName: "twin", publicIp: "192.168.2.9" });
  assert.equal(
    says(away, { takenOver }),
    'node id taken over by "twin" at 192.168.2.9',
  );
  assert.equal(says(away, { takenOver, problem: "Cannot X: Y" }), "Cannot X: Y");
  const sentence = sentenceOf({
    lease,
    membership: { health: ok, takenOver: undefined, configProblem: "it has no network" },
    network: { ready: true, problem: undefined, overlays: { peers } },
  });
  assert.match(sentence, /makes no sense, this host goes on with its own: it has no network$/);
});
