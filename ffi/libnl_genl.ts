/**
 * libnl-genl-3: resolving generic netlink families. The C signatures are those of netlink/genl/genl.h and netlink/genl/ctrl.h.
 *
 * @module
 */
import { openLibrary } from "./load.ts";

const symbols = {
  // int genl_connect(struct nl_sock *sk)
  genl_connect: { parameters: ["pointer"], result: "i32" },
  // int genl_ctrl_resolve(struct nl_sock *sk, const char *name)
  genl_ctrl_resolve: { parameters: ["pointer", "buffer"], result: "i32" },
} as const;

/** libnl-genl-3's functions; opens the library at the first call. */
export function libnlGenl(): Deno.DynamicLibrary<typeof symbols>["symbols"] {
  return openLibrary("libnl-genl-3.so.200", symbols);
}
