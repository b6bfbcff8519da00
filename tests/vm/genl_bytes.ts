/**
 * A message that adds a real server, made by libnl's own builders: what ours is compared with.
 *
 * @module
 */
import type { IpvsDestId, IpvsDestSettings } from "../../ffi/genl/ipvs_dest.ts";
import type { IpvsServiceId } from "../../ffi/genl/ipvs_service.ts";
import { parseAddress } from "../../ffi/ip.ts";

const NLM_F_REQUEST = 1;
const NLA_F_NESTED = 0x8000;

/** Bytes of the message, its sequence number and port id zero. */
export function genlBytes(
  family: number,
  service: IpvsServiceId,
  dest: IpvsDestId & IpvsDestSettings,
): Uint8Array {
  if ("fwmark" in service) throw new TypeError("not by firewall mark");
  const nl = Deno.dlopen("libnl-3.so.200", {
    nlmsg_alloc: { parameters: [], result: "pointer" },
    nlmsg_free: { parameters: ["pointer"], result: "void" },
    nlmsg_hdr: { parameters: ["pointer"], result: "pointer" },
    nla_nest_start: { parameters: ["pointer", "i32"], result: "pointer" },
    nla_nest_end: { parameters: ["pointer", "pointer"], result: "i32" },
    nla_put: { parameters: ["pointer", "i32", "i32", "buffer"], result: "i32" },
    nla_put_u16: { parameters: ["pointer", "i32", "u16"], result: "i32" },
    nla_put_u32: { parameters: ["pointer", "i32", "u32"], result: "i32" },
  });
  const genl = Deno.dlopen("libnl-genl-3.so.200", {
    genlmsg_put: {
      parameters: ["pointer", "u32", "u32", "i32", "i32", "i32", "u8", "u8"],
      result: "pointer",
    },
  });
  const c = nl.symbols;
  const message = c.nlmsg_alloc();
  try {
    genl.symbols.genlmsg_put(message, 0, 0, family, 0, NLM_F_REQUEST, 5, 1);
    const swapped = (port: number) => (port & 0xff) << 8 | port >> 8;
    const address = (type: number, text: string) => {
      const bytes = new Uint8Array(parseAddress(text));
      c.nla_put(message, type, bytes.length, bytes);
    };
    const outer = c.nla_nest_start(message, 1 | NLA_F_NESTED);
    c.nla_put_u16(message, 1, service.family === 4 ? 2 : 10);
    c.nla_put_u16(message, 2, service.protocol);
    address(3, service.address);
    c.nla_put_u16(message, 4, swapped(service.port));
    c.nla_nest_end(message, outer);
    const inner = c.nla_nest_start(message, 2 | NLA_F_NESTED);
    address(1, dest.address);
    c.nla_put_u16(message, 2, swapped(dest.port));
    c.nla_put_u32(message, 3, dest.forward);
    c.nla_put_u32(message, 4, dest.weight);
    c.nla_put_u32(message, 5, dest.upper);
    c.nla_put_u32(message, 6, dest.lower);
    c.nla_nest_end(message, inner);
    const header = new Deno.UnsafePointerView(c.nlmsg_hdr(message)!);
    return new Uint8Array(header.getArrayBuffer(header.getUint32(0)).slice(0));
  } finally {
    c.nlmsg_free(message);
    genl.close();
    nl.close();
  }
}
