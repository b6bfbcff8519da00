import assert from "node:assert/strict";
import { parse } from "yaml";
import { AgentMetrics, type MetricFacts } from "../core/agent/metrics.ts";
import { serviceMetrics } from "../core/agent/service_metrics.ts";

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly annotations: Readonly<Record<string, string>>;
    }[];
  }[];
}

const FACTS: MetricFacts = {
  ready: true,
  membership: {
    ...{
      health: { state: "ok", detail: "" },
      revision: 0,
      renewals: 0,
      own: undefined,
      storeNow: 0,
    },
  },
  ...{ peers: [], entries: [], containers: [], services: { count: 0, messages: 0, checks: 0 } },
};

Deno.test("alerts.yml names metrics and labels that agents have, and says of each alert what it is", async () => {
  const { groups } = parse(
    Deno.readTextFileSync(new URL("alerts.yml", import.meta.url)),
  ) as Rules;
  const told = `${await new AgentMetrics().text(FACTS)}\n${await serviceMetrics([])}`;
  const metrics = new Set([...told.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
  const rules = groups.flatMap((group) => group.rules);
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  for (const { alert, expr, annotations } of rules) {
    const named = expr.match(/\bknet_[a-z_]+/g) ?? [];
    assert.ok(named.length > 0, alert);
    for (const name of named) assert.ok(metrics.has(name), `${alert}: there is no metric ${name}`);
    assert.ok(annotations["summary"], alert);
  }
});
