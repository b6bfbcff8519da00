/**
 * Limits of a container's bandwidth as people write them: `10M`, in bits. Pure.
 *
 * @module
 */
import { KnetError, messageOf } from "../base/error.ts";
import { type Bandwidth, bandwidthOf, type BandwidthRequest } from "./bandwidth.ts";

/** By CNI's names, in bits, and bits a second; zero lifts a limit. */
export type BandwidthWords = Readonly<
  Partial<Record<keyof BandwidthRequest, string | undefined>>
>;

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9 };
/** A burst that nobody names is what passes in so much of a second. */
const BURST = 0.1;
const FORM = "Write bits: 500k, 10M, 1.5G or 8000000; 0 is no limit";

/**
 * Reads what is asked for. A direction whose rate is told and whose burst is not has that of a tenth of a second.
 *
 * @returns undefined if nothing is; without both directions if all limits are to go.
 * @throws {KnetError} exit code 2 if it makes no sense.
 */
export function readBandwidth(words: BandwidthWords): Bandwidth | undefined {
  const { ingressRate, ingressBurst, egressRate, egressBurst } = words;
  if ([ingressRate, ingressBurst, egressRate, egressBurst].every((one) => one === undefined)) {
    return undefined;
  }
  try {
    return bandwidthOf({
      ...direction("ingress", ingressRate, ingressBurst),
      ...direction("egress", egressRate, egressBurst),
    }) ?? {};
  } catch (error) {
    throw new KnetError(messageOf(error), { exitCode: 2, remedy: FORM, cause: error });
  }
}

function direction(
  name: "ingress" | "egress",
  rateText: string | undefined,
  burstText: string | undefined,
): BandwidthRequest {
  const rate = bitsOf(rateText ?? "0");
  const burst = burstText === undefined ? Math.ceil(rate * BURST) : bitsOf(burstText);
  return { [`${name}Rate`]: rate, [`${name}Burst`]: burst };
}

/**
 * Bits, with k, M or G for thousands, millions and thousands of them.
 *
 * @throws {RangeError}
 */
function bitsOf(text: string): number {
  const [, number = "", unit = ""] = /^(\d{1,15}(?:\.\d{1,9})?)([kmg]?)$/i.exec(text) ?? [];
  const bits = Math.round(Number(number) * UNITS[unit.toLowerCase()]!);
  if (number !== "" && (bits > 0 || Number(number) === 0)) return bits;
  throw new RangeError(`Cannot limit the bandwidth: "${text}" is no number of bits`);
}
