/**
 * The result of ADD, in the version that was asked for. Pure.
 *
 * @module
 */
import { familyOf } from "../../base/address.ts";
import type { AttachResult } from "../attach.ts";
import type { PreviousResult } from "./request.ts";

/** What a result is made from. */
export interface ResultFacts {
  readonly attached: AttachResult;
  readonly bridgeMac: string;
  readonly hostMac: string;
  /** Path of the namespace. */
  readonly sandbox: string;
  /** Networks that the interface leads to by the gateway. */
  readonly routes: readonly string[];
  /** What the plugins before in the chain made. */
  readonly previous?: PreviousResult;
}

/** Whether a version knows a field that came with 1.1.0, or a later one. */
const since110 = (version: string) => version === "1.1.0";
/** Until 0.4.0 each address says its family. */
const before100 = (version: string) => version.startsWith("0.");

/** The result's document. */
export function resultDocument(cniVersion: string, facts: ResultFacts): string {
  const { attached, sandbox, previous } = facts;
  const { address, prefixLength, gateway, mtu, mac } = attached;
  const family = familyOf(address);
  const withMtu = since110(cniVersion) ? { mtu } : {};
  const before = previous?.interfaces ?? [];
  const interfaces = [
    ...before,
    { name: attached.bridge, mac: facts.bridgeMac, ...withMtu },
    { name: attached.hostIfname, mac: facts.hostMac, ...withMtu },
    { name: attached.ifname, mac, ...withMtu, sandbox },
  ];
  const ips = [...previous?.ips ?? [], {
    ...(before100(cniVersion) && { version: `${family}` }),
    address: `${address}/${prefixLength}`,
    gateway,
    interface: before.length + 2,
  }];
  const routes = [
    ...previous?.routes ?? [],
    ...facts.routes.map((dst) => ({ dst, gw: gateway })),
  ];
  return JSON.stringify({ cniVersion, interfaces, ips, routes, dns: previous?.dns ?? {} });
}
