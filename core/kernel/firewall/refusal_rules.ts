/**
 * What is refused at virtual IPs and in the service network. Pure.
 *
 * @module
 */
import type { Family } from "../../cluster/lease.ts";
import { goneObjects } from "./gone_rules.ts";
import { chain } from "./guard.ts";
import { familyWord } from "./table.ts";

/** ICMP that a virtual IP takes: echo, and errors about connections of services. */
const ICMP: Record<Family, string> = {
  4: "icmp type { echo-request, echo-reply, destination-unreachable, time-exceeded, parameter-problem }",
  6: "icmpv6 type { echo-request, echo-reply, destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-neighbor-solicit, nd-neighbor-advert }",
};

const REFUSE: Record<Family, readonly string[]> = {
  4: [
    "meta l4proto tcp counter reject with tcp reset",
    "counter reject with icmp port-unreachable",
  ],
  6: [
    "meta l4proto tcp counter reject with tcp reset",
    "counter reject with icmpv6 port-unreachable",
  ],
};

/** Names of the sets that tell what virtual IPs answer. */
export interface RefusalSets {
  readonly vips: string;
  readonly open: string;
  readonly gone: string;
}

/**
 * Chains that refuse what no service is at.
 *
 * A virtual IP is an address of this host: whatever listens on all of the host's addresses would answer at it, past the rules that
 * the administrator made for the others. And an address of the service network that no service has would be sent to the default route.
 *
 * @param sets Names of the sets of services; undefined if there are none.
 * @param network The service network; undefined leaves its unassigned addresses alone.
 * @param options.except Parts of it that are left alone, too.
 * @param options.plain For kernels whose connections have no labels: who has a former virtual IP gets what was for the service.
 */
export function refusals(
  family: Family,
  sets: RefusalSets | undefined,
  network: string | undefined,
  { except = [], plain = false }: {
    readonly except?: readonly string[];
    readonly plain?: boolean;
  } = {},
): string[] {
  const word = familyWord(family);
  const chains: string[] = [];
  if (sets !== undefined) {
    // IPVS sits at priority 98 of this hook; what is not for a service does not come so far.
    chains.push(chain("svc-input", "filter hook input priority -290", [
      `${word} daddr @${sets.vips} jump svc-only`,
    ]));
    // What begins a connection is no answer, although conntrack takes it for one if somebody forged the question.
    chains.unshift(`chain svc-only {
${word} daddr . meta l4proto . th dport @${sets.open} return
${ICMP[family]} return
tcp flags & (syn | ack) == syn jump svc-nobody
ct direction reply return
goto svc-nobody
}`);
  }
  if (sets !== undefined || network !== undefined) {
    chains.unshift(`chain svc-nobody {\n${REFUSE[family].join("\n")}\n}`);
  }
  if (network !== undefined) {
    const others = except.length === 0 ? "" : ` ${word} daddr != { ${except.join(", ")} }`;
    const unassigned = `${word} daddr ${network}${others}` +
      (sets === undefined ? "" : ` ${word} daddr != @${sets.vips}`);
    for (const hook of ["forward", "output"]) {
      chains.push(chain(`svc-${hook}`, `filter hook ${hook} priority -290`, [
        `${unassigned} jump svc-nobody`,
      ]));
    }
  }
  return sets === undefined || plain ? chains : [...chains, ...goneObjects(family, sets)];
}
