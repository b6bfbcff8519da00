/**
 * Writes services in YAML, as `knet svc export` gives them: what is as usual is left out.
 *
 * @module
 */
import { formatSpan } from "../../base/span.ts";
import { formatCheck, isCheck } from "../check.ts";
import {
  type Destination,
  realServerKey,
  type Service,
  SERVICE_DEFAULTS,
  type ServiceTimeouts,
} from "../service.ts";

/** What `parseDestination` reads: `10.244.1.5:8080,weight=3`. */
function formatDestination(one: Destination): string {
  return [
    realServerKey(one),
    ...(one.weight === 1 ? [] : [`weight=${one.weight}`]),
    ...(one.upper === 0 ? [] : [`upper=${one.upper}`]),
    ...(one.lower === 0 ? [] : [`lower=${one.lower}`]),
  ].join(",");
}

function describe(service: Service): Record<string, unknown> {
  const { name, vip, port, check, family } = service;
  const unless = <T>(key: string, value: T, usual: T) => value === usual ? {} : { [key]: value };
  return {
    name,
    vip,
    port,
    ...unless("protocol", service.protocol, SERVICE_DEFAULTS.protocol),
    scheduler: service.scheduler,
    ...(service.schedulerFlags.length > 0 && { "scheduler-flags": service.schedulerFlags }),
    forward: service.forward,
    ...unless("persistent", service.persistent, 0),
    ...unless("persistence-netmask", service.persistenceNetmask, family === 4 ? 32 : 128),
    ...unless("one-packet", service.onePacket, false),
    ...unless("masquerade", service.masquerade, SERVICE_DEFAULTS.masquerade),
    ...(isCheck(check) && {
      check: formatCheck(check),
      "check-interval": formatSpan(check.interval),
      "check-timeout": formatSpan(check.timeout),
      rise: check.rise,
      fall: check.fall,
    }),
    ...unless("on-empty", service.onEmpty, SERVICE_DEFAULTS.onEmpty),
    ...unless("drain-timeout", service.drainTimeout, SERVICE_DEFAULTS.drainTimeout),
    to: service.destinations.filter(({ draining }) => draining === undefined)
      .map(formatDestination),
  };
}

/** Writes services so that `readServicesYaml` reads the same; what drains is left out, for it goes anyway. */
export async function writeServicesYaml(
  services: readonly Service[],
  timeouts: ServiceTimeouts,
): Promise<string> {
  const { stringify } = await import("yaml");
  const said = Object.fromEntries(Object.entries(timeouts).filter(([, value]) => value > 0));
  return stringify({
    ...(Object.keys(said).length > 0 && { timeouts: said }),
    services: services.map(describe),
  }, { lineWidth: 0 });
}
