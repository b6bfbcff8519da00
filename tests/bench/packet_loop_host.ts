/**
 * The packet loop alone, without an agent: `packet_loop_host.ts LOCAL SUBNET PEER PEER-SUBNET MTU
 * [singly]`, for what the agent does not offer.
 *
 * @module
 */
import { DataPlane } from "../../core/overlay/udp/data_plane.ts";

const [local = "", subnet = "", publicIp = "", peer = "", mtu, mode] = Deno.args;
await using plane = new DataPlane((why) => {
  console.error(why);
  Deno.exit(1);
});
const device = "knet.tun0";
plane.open({ device, subnet, local, port: 8285, mtu: Number(mtu), offloads: mode !== "singly" });
plane.setPeers([{ subnet: peer, publicIp }]);
console.log("ready");
await new Promise((resolve) => Deno.addSignalListener("SIGTERM", () => resolve(undefined)));
