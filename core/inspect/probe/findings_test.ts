import assert from "node:assert/strict";
import { findingOf, type PathFacts, type WayFacts } from "./findings.ts";

const FINE: WayFacts = { misses: 0, silent: 0, answered: 100, heard: 100, confirmed: 100 };
const SILENT: WayFacts = {
  misses: 3,
  silent: 5000,
  answered: Infinity,
  heard: Infinity,
  confirmed: Infinity,
  echo: false,
};

function facts(changes: Partial<PathFacts> = {}): PathFacts {
  return {
    name: "h2",
    subnet: "10.244.2.0/24",
    publicIp: "192.168.2.102",
    via: "vxlan",
    port: 8472,
    answers: true,
    expired: false,
    through: FINE,
    beside: FINE,
    full: { misses: 0, mtu: 1450, largest: 0 },
    ...changes,
  };
}

const fault = (changes: Partial<PathFacts>) => findingOf(facts(changes))?.fault;

Deno.test("findingOf() says nothing of a path that carries, whoever knows it", () => {
  assert.equal(fault({}), undefined);
  assert.equal(fault({ through: { ...FINE, misses: 2 } }), undefined);
  // A firewall there takes no questions, beside or through; its own are answered.
  const through = { ...SILENT, heard: 100, confirmed: 100 };
  assert.equal(fault({ through, beside: SILENT }), undefined);
});

Deno.test("findingOf() says nothing of what cannot be told: an older knet, an expired lease, no way, a stopped agent", () => {
  const silent = { through: SILENT, beside: SILENT };
  assert.equal(fault({ ...silent, answers: false }), undefined);
  assert.equal(fault({ ...silent, expired: true }), undefined);
  assert.equal(fault({ ...silent, via: "none" }), undefined);
  const stopped = { ...SILENT, misses: 1, answered: 6000, heard: 6000 };
  const echoed = { ...SILENT, echo: true };
  assert.equal(fault({ through: echoed, beside: stopped }), undefined);
  assert.equal(fault({ ...silent, through: { ...SILENT, misses: 2 } }), undefined);
});

Deno.test("findingOf() tells a dead peer from a blocked port, and which direction is blocked", () => {
  assert.equal(fault({ through: SILENT, beside: SILENT }), "dead");
  assert.equal(fault({ through: SILENT }), "blocked");
  assert.equal(fault({ through: SILENT, beside: { ...SILENT, echo: true } }), "blocked");
  // A host that was booted and has no agent yet has no overlay either: no firewall is to blame for sure.
  const mute = findingOf(facts({ through: SILENT, beside: { ...SILENT, echo: true } }));
  assert.match(mute!.sentence, /knet has not been started there .* or UDP port 8472 is blocked/);
  assert.doesNotMatch(findingOf(facts({ through: SILENT }))!.sentence, /not been started/);
  assert.equal(fault({ through: { ...SILENT, heard: 100 } }), "blocked-there");
  // It answered once, and nobody knows of its lease whether it does.
  const before = { ...SILENT, answered: 60_000 };
  assert.equal(fault({ through: before, beside: SILENT, answers: false }), "dead");
  // What was heard before the silence is no news of it.
  const long = { ...SILENT, heard: 6000 };
  assert.equal(fault({ through: long, beside: { ...SILENT, answered: 6000 } }), "dead");
});

Deno.test("findingOf() tells of a wrong public address, broken checksums, a mixed MTU, double masquerading", () => {
  const silent = { through: SILENT, beside: SILENT };
  const wrong = findingOf(facts({ ...silent, stranger: "192.168.2.77" }));
  assert.equal(wrong?.fault, "public-ip");
  assert.match(wrong.sentence, /come from 192\.168\.2\.77, not from its public address/);
  assert.equal(fault({ through: { ...SILENT, echo: true } }), "checksum");
  const mixed = findingOf(facts({ full: { misses: 3, mtu: 8950, largest: 1450 } }));
  assert.equal(mixed?.fault, "mtu");
  assert.match(mixed.sentence, /Packets of 8950 bytes.*the largest that does has 1450/);
  assert.equal(fault({ through: { ...FINE, changedSource: "10.244.1.0" } }), "masquerade");
  // Lost before anything was measured: no size is to blame yet.
  assert.equal(fault({ full: { misses: 3, mtu: 1450, largest: 1450 } }), undefined);
});

Deno.test("findingOf() speaks of no port where there is no tunnel", () => {
  const blocked = findingOf(facts({ via: "direct", port: undefined, through: SILENT }));
  assert.equal(blocked?.fault, "blocked");
  assert.doesNotMatch(blocked.sentence, /port/);
});
