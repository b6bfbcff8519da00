/**
 * libnl-3: sockets and sending. The C signatures are those of netlink/socket.h, netlink/netlink.h and netlink/msg.h.
 *
 * @module
 */
import { openLibrary } from "./load.ts";

const symbols = {
  // struct nl_sock *nl_socket_alloc(void)
  nl_socket_alloc: { parameters: [], result: "pointer" },
  // void nl_socket_free(struct nl_sock *sk)
  nl_socket_free: { parameters: ["pointer"], result: "void" },
  // int nl_connect(struct nl_sock *sk, int protocol)
  nl_connect: { parameters: ["pointer", "i32"], result: "i32" },
  // int nl_socket_get_fd(const struct nl_sock *sk)
  nl_socket_get_fd: { parameters: ["pointer"], result: "i32" },
  // uint32_t nl_socket_get_local_port(const struct nl_sock *sk)
  nl_socket_get_local_port: { parameters: ["pointer"], result: "u32" },
  // int nl_socket_add_membership(struct nl_sock *sk, int group)
  nl_socket_add_membership: { parameters: ["pointer", "i32"], result: "i32" },
  // int nl_sendto(struct nl_sock *sk, void *buf, size_t size)
  nl_sendto: { parameters: ["pointer", "buffer", "usize"], result: "i32" },
  // const char *nl_geterror(int error)
  nl_geterror: { parameters: ["i32"], result: "pointer" },
} as const;

/** libnl-3's functions; opens the library at the first call. */
export function libnl(): Deno.DynamicLibrary<typeof symbols>["symbols"] {
  return openLibrary("libnl-3.so.200", symbols);
}

/** libnl's own words for one of its error codes. */
export function libnlError(code: number): string {
  const text = libnl().nl_geterror(code);
  return text === null ? `libnl error ${code}` : new Deno.UnsafePointerView(text).getCString();
}
