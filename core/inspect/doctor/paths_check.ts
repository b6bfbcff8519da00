/**
 * Doctor asks the agent, which tries the paths to peers all the time, what is wrong on the wire.
 *
 * @module
 */
import { plural } from "../../base/plural.ts";
import type { PeerStatus } from "../status.ts";
import { type Finding, ok, skip, warn } from "./check.ts";

/**
 * What is wrong on the paths to peers.
 *
 * @param peers what the agent says of them; undefined: none runs.
 */
export function pathsFinding(
  peers: readonly Pick<PeerStatus, "name" | "probe">[] | undefined,
): Finding {
  if (peers === undefined) {
    return skip("no agent runs that tries them", "Start it: systemctl start knet");
  }
  const tried = peers.filter(({ probe }) => probe?.loss !== undefined);
  const wrong = tried.filter(({ probe }) => probe?.fault !== undefined);
  if (wrong.length > 0) {
    const names = wrong.slice(0, 5).map(({ name, probe }) => `${name} (${probe!.fault})`);
    return warn(
      `${plural(wrong.length, "path")} of ${tried.length} do not carry what they should: ${
        names.join(", ")
      }${wrong.length > names.length ? " …" : ""}`,
      "knet status says what each means; knet netcheck tries again, from each host to each",
    );
  }
  if (tried.length === 0) return ok("there are none yet, or they were not tried yet");
  const lossy = tried.filter(({ probe }) => probe!.loss! > 0).length;
  return ok(
    `${plural(tried.length, "path")} tried` + (lossy > 0 ? `, ${lossy} with lost packets` : ""),
  );
}
