/**
 * libnl's own message builders, as a measure for our encoder. The C signatures are those of netlink/addr.h, netlink/msg.h and
 * netlink/route/{neighbour,route,nexthop,link,addr}.h and netlink/route/link/vxlan.h.
 *
 * @module
 */
import { openLibrary } from "../../ffi/load.ts";

const core = {
  // int nl_addr_parse(const char *addrstr, int hint, struct nl_addr **result)
  nl_addr_parse: { parameters: ["buffer", "i32", "buffer"], result: "i32" },
  // struct nl_addr *nl_addr_build(int family, const void *buf, size_t size)
  nl_addr_build: { parameters: ["i32", "buffer", "usize"], result: "pointer" },
  // void nl_addr_put(struct nl_addr *addr)
  nl_addr_put: { parameters: ["pointer"], result: "void" },
  // struct nlmsghdr *nlmsg_hdr(struct nl_msg *msg)
  nlmsg_hdr: { parameters: ["pointer"], result: "pointer" },
  // void nlmsg_free(struct nl_msg *msg)
  nlmsg_free: { parameters: ["pointer"], result: "void" },
  // void nl_object_put(struct nl_object *obj)
  nl_object_put: { parameters: ["pointer"], result: "void" },
} as const;

const setter = { parameters: ["pointer", "i32"], result: "void" } as const;
const withAddress = { parameters: ["pointer", "pointer"], result: "i32" } as const;
const build = { parameters: ["pointer", "i32", "buffer"], result: "i32" } as const;
const make = { parameters: [], result: "pointer" } as const;

const route = {
  rtnl_neigh_alloc: make, // struct rtnl_neigh *(void)
  rtnl_neigh_set_family: setter, // void (struct rtnl_neigh *, int)
  rtnl_neigh_set_ifindex: setter,
  rtnl_neigh_set_state: setter,
  rtnl_neigh_set_flags: { parameters: ["pointer", "u32"], result: "void" },
  rtnl_neigh_set_vlan: setter,
  rtnl_neigh_set_dst: withAddress, // int (struct rtnl_neigh *, struct nl_addr *)
  rtnl_neigh_set_lladdr: { parameters: ["pointer", "pointer"], result: "void" },
  rtnl_neigh_build_add_request: build, // int (struct rtnl_neigh *, int flags, struct nl_msg **)
  rtnl_neigh_build_delete_request: build,

  rtnl_route_alloc: make,
  rtnl_route_set_family: { parameters: ["pointer", "u8"], result: "i32" },
  rtnl_route_set_table: { parameters: ["pointer", "u32"], result: "void" },
  rtnl_route_set_scope: { parameters: ["pointer", "u8"], result: "void" },
  rtnl_route_set_protocol: { parameters: ["pointer", "u8"], result: "void" },
  rtnl_route_set_priority: { parameters: ["pointer", "u32"], result: "void" },
  rtnl_route_set_type: { parameters: ["pointer", "u8"], result: "i32" },
  rtnl_route_set_dst: withAddress,
  rtnl_route_set_pref_src: withAddress,
  rtnl_route_add_nexthop: { parameters: ["pointer", "pointer"], result: "void" },
  rtnl_route_nh_alloc: make,
  rtnl_route_nh_set_ifindex: setter,
  rtnl_route_nh_set_flags: { parameters: ["pointer", "u32"], result: "void" },
  rtnl_route_nh_set_gateway: { parameters: ["pointer", "pointer"], result: "void" },
  rtnl_route_build_add_request: build,
  rtnl_route_build_del_request: build,

  rtnl_link_alloc: make,
  rtnl_link_vxlan_alloc: make,
  rtnl_link_set_type: { parameters: ["pointer", "buffer"], result: "i32" },
  rtnl_link_set_name: { parameters: ["pointer", "buffer"], result: "void" },
  rtnl_link_set_mtu: { parameters: ["pointer", "u32"], result: "void" },
  rtnl_link_set_addr: { parameters: ["pointer", "pointer"], result: "void" },
  rtnl_link_set_master: setter,
  rtnl_link_vxlan_set_id: { parameters: ["pointer", "u32"], result: "i32" },
  rtnl_link_vxlan_set_port: { parameters: ["pointer", "u32"], result: "i32" },
  rtnl_link_vxlan_set_link: { parameters: ["pointer", "u32"], result: "i32" },
  rtnl_link_vxlan_set_local: withAddress,
  rtnl_link_vxlan_set_learning: { parameters: ["pointer", "u8"], result: "i32" },
  rtnl_link_build_add_request: build,

  rtnl_addr_alloc: make,
  rtnl_addr_set_ifindex: setter,
  rtnl_addr_set_family: setter,
  rtnl_addr_set_prefixlen: setter,
  rtnl_addr_set_scope: setter,
  rtnl_addr_set_flags: { parameters: ["pointer", "u32"], result: "void" },
  rtnl_addr_set_local: withAddress,
  rtnl_addr_build_add_request: build,
  rtnl_addr_build_delete_request: build,
} as const;

/** libnl-3 for the builders. */
export const nl = () => openLibrary("libnl-3.so.200", core);
/** libnl-route-3 for the builders. */
export const nlRoute = () => openLibrary("libnl-route-3.so.200", route);

/** A text as C has it. */
export const cText = (text: string): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(`${text}\0`);

const AF_UNSPEC = 0;
const AF_LLC = 26; // what libnl takes link-layer addresses for

/** Runs a function with a struct nl_addr of an address, prefix or MAC address. */
export function withAddr<T>(text: string, run: (address: Deno.PointerValue) => T): T {
  const out = new BigUint64Array(1);
  const hint = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text) ? AF_LLC : AF_UNSPEC;
  ok(nl().nl_addr_parse(cText(text), hint, new Uint8Array(out.buffer)), `parse ${text}`);
  const address = Deno.UnsafePointer.create(out[0]!);
  try {
    return run(address);
  } finally {
    nl().nl_addr_put(address);
  }
}

/** Throws if libnl returned one of its errors. */
export function ok(status: number, what: string): void {
  if (status < 0) throw new Error(`libnl cannot ${what}: ${status}`);
}

/** The bytes that one of libnl's builders makes; the object and the message are freed. */
export function built(
  object: Deno.PointerValue,
  builder: (object: Deno.PointerValue, flags: number, result: Uint8Array<ArrayBuffer>) => number,
  flags: number,
): Uint8Array {
  const out = new BigUint64Array(1);
  try {
    ok(builder(object, flags, new Uint8Array(out.buffer)), "build the message");
    const message = Deno.UnsafePointer.create(out[0]!);
    try {
      const view = new Deno.UnsafePointerView(nl().nlmsg_hdr(message)!);
      return new Uint8Array(view.getArrayBuffer(view.getUint32(0)).slice(0));
    } finally {
      nl().nlmsg_free(message);
    }
  } finally {
    nl().nl_object_put(object);
  }
}
