/**
 * Services as `ipvsadm -S -n` prints them.
 *
 * @module
 */
import { addressToNumber, networkOf } from "../../base/address.ts";
import {
  type Destination,
  type Forward,
  type Protocol,
  realServerKey,
  type Service,
} from "../service.ts";

const PROTOCOL_OPTION: Record<Protocol, string> = {
  tcp: "-t",
  udp: "-u",
  sctp: "--sctp-service",
};
/** Numbers of the protocols in netinet/in.h, by which ipvsadm sorts. */
const PROTOCOL_NUMBER: Record<Protocol, number> = { tcp: 6, udp: 17, sctp: 132 };

const FORWARD_OPTION: Record<Forward, string> = {
  nat: "-m",
  dr: "-g",
  tunnel: "-i",
};

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

function compareEndpoints(a: Endpoint, b: Endpoint): number {
  const [x, y] = [addressToNumber(a.address), addressToNumber(b.address)];
  return x < y ? -1 : x > y ? 1 : a.port - b.port;
}

function compareServices(a: Service, b: Service): number {
  return a.family - b.family || PROTOCOL_NUMBER[a.protocol] - PROTOCOL_NUMBER[b.protocol] ||
    compareEndpoints({ address: a.vip, port: a.port }, { address: b.vip, port: b.port });
}

/** The netmask that a prefix length stands for, `255.255.255.0`; for IPv6 the length itself. */
function netmask({ family, persistenceNetmask }: Service): string {
  return family === 6
    ? String(persistenceNetmask)
    : networkOf("255.255.255.255", persistenceNetmask).split("/")[0]!;
}

function serverLine(target: string, service: Service, one: Destination): string {
  const tunnel = service.forward === "tunnel" ? " --tun-type ipip" : "";
  const weight = one.draining === undefined ? one.weight : 0;
  return `-a ${target} -r ${realServerKey(one)} ${
    FORWARD_OPTION[service.forward]
  } -w ${weight}${tunnel}`;
}

/**
 * Writes services as the rules of ipvsadm. Thresholds, checks, masquerading and names are not in there: `ipvsadm -S` prints none of
 * them.
 */
export function writeIpvsadm(services: readonly Service[]): string {
  const lines: string[] = [];
  for (const service of services.toSorted(compareServices)) {
    const target = `${PROTOCOL_OPTION[service.protocol]} ${
      realServerKey({ address: service.vip, port: service.port })
    }`;
    const { persistent, persistenceNetmask, family, schedulerFlags } = service;
    const mask = persistenceNetmask === (family === 4 ? 32 : 128) ? "" : ` -M ${netmask(service)}`;
    lines.push(
      `-A ${target} -s ${service.scheduler}` +
        (persistent > 0 ? ` -p ${persistent}${mask}` : "") +
        (service.onePacket ? " -o" : "") +
        (schedulerFlags.length > 0 ? ` -b ${schedulerFlags.join(",")}` : ""),
      ...service.destinations.toSorted(compareEndpoints)
        .map((one) => serverLine(target, service, one)),
    );
  }
  return lines.map((line) => `${line}\n`).join("");
}
