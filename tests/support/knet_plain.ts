/**
 * knet with a carrier for tests (`plain_carrier.ts`): KNET_TEST_SEEDS has the addresses of hosts to join by, KNET_TEST_ROLE what this host may
 * do elsewhere.
 *
 * @module
 */
import { giveCarrier } from "../../core/agent/store_carrier.ts";
import { plainCarrier } from "./plain_carrier.ts";

giveCarrier(plainCarrier(
  Deno.env.get("KNET_TEST_SEEDS")?.split(" ").filter((seed) => seed !== "") ?? [],
  Deno.env.get("KNET_TEST_ROLE") === "node" ? "node" : "admin",
));
const { dispatch } = await import("../../cli/dispatch.ts");
Deno.exit(await dispatch(Deno.args));
