/**
 * Runs a program on a kernel without nfnetlink, as it is when a kernel was upgraded and its modules are gone before the reboot:
 * `without_nfnetlink.ts PROGRAM WORD…`. A filter of system calls (seccomp(2)) refuses that one protocol.
 *
 * @module
 */
import { addressOf } from "../../ffi/memory.ts";

/** linux/prctl.h, linux/seccomp.h, linux/filter.h, linux/audit.h */
const PR_SET_SECCOMP = 22;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2n;
const RET_ALLOW = 0x7fff0000;
const RET_ERRNO = 0x00050000;
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const EPROTONOSUPPORT = 93;
const NETLINK_NETFILTER = 12;
const AF_NETLINK = 16;

/** struct sock_filter: code, jumps if true and if not, value. */
type Instruction = readonly [code: number, yes: number, no: number, value: number];

function refuseNfnetlink(): void {
  // struct seccomp_data: number of the call at 0, arguments from 16 on, 8 bytes each.
  const socketCall = Deno.build.arch === "x86_64" ? 41 : 198;
  const program: readonly Instruction[] = [
    [LOAD, 0, 0, 0],
    [JUMP_EQUAL, 0, 5, socketCall],
    [LOAD, 0, 0, 16],
    [JUMP_EQUAL, 0, 3, AF_NETLINK],
    [LOAD, 0, 0, 32],
    [JUMP_EQUAL, 0, 1, NETLINK_NETFILTER],
    [RETURN, 0, 0, RET_ERRNO | EPROTONOSUPPORT],
    [RETURN, 0, 0, RET_ALLOW],
  ];
  const filter = new DataView(new ArrayBuffer(8 * program.length));
  program.forEach(([code, yes, no, value], at) => {
    filter.setUint16(8 * at, code, true);
    filter.setUint8(8 * at + 2, yes);
    filter.setUint8(8 * at + 3, no);
    filter.setUint32(8 * at + 4, value, true);
  });
  // struct sock_fprog: length, and after padding the address.
  const fprog = new DataView(new ArrayBuffer(16));
  fprog.setUint16(0, program.length, true);
  fprog.setBigUint64(8, BigInt(addressOf(filter.buffer)), true);
  const { symbols } = Deno.dlopen("libc.so.6", {
    // int prctl(int option, unsigned long arg2, … arg5)
    prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  });
  const done = symbols.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) === 0 &&
    symbols.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, BigInt(addressOf(fprog.buffer)), 0n, 0n) ===
      0;
  if (!done) throw new Error("Cannot filter system calls");
}

/** The words that make a command run so. */
export const WITHOUT_NFNETLINK: readonly string[] = [
  ...[Deno.execPath(), "run", "-q", "--no-check", "-A"],
  new URL(import.meta.url).pathname,
];

if (import.meta.main) {
  refuseNfnetlink();
  const [program = "", ...args] = Deno.args;
  // On this thread, which alone has the filter: what it starts inherits it.
  const { code } = new Deno.Command(program, {
    args,
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  })
    .outputSync();
  Deno.exit(code);
}
