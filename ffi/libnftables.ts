/**
 * nftables through libnftables: text in the language of nft(8), one call being one transaction.
 *
 * Unlike libnl, the library is not carried in the binary: it brings four others along, and a host that
 * has nftables rules has it.
 *
 * @module
 */
import { closeFile } from "./file.ts";
import { check, cString, libc, SystemError } from "./libc.ts";
import { AF_NETLINK, NETLINK_NETFILTER } from "./linux/netlink.ts";
import { openLibrary } from "./load.ts";

const symbols = {
  // struct nft_ctx *nft_ctx_new(uint32_t flags)
  nft_ctx_new: { parameters: ["u32"], result: "pointer" },
  // void nft_ctx_free(struct nft_ctx *ctx)
  nft_ctx_free: { parameters: ["pointer"], result: "void" },
  // int nft_ctx_buffer_output(struct nft_ctx *ctx)
  nft_ctx_buffer_output: { parameters: ["pointer"], result: "i32" },
  // const char *nft_ctx_get_output_buffer(struct nft_ctx *ctx)
  nft_ctx_get_output_buffer: { parameters: ["pointer"], result: "pointer" },
  // int nft_ctx_buffer_error(struct nft_ctx *ctx)
  nft_ctx_buffer_error: { parameters: ["pointer"], result: "i32" },
  // const char *nft_ctx_get_error_buffer(struct nft_ctx *ctx)
  nft_ctx_get_error_buffer: { parameters: ["pointer"], result: "pointer" },
  // void nft_ctx_output_set_flags(struct nft_ctx *ctx, unsigned int flags)
  nft_ctx_output_set_flags: { parameters: ["pointer", "u32"], result: "void" },
  // void nft_ctx_set_dry_run(struct nft_ctx *ctx, bool dry)
  nft_ctx_set_dry_run: { parameters: ["pointer", "bool"], result: "void" },
  // int nft_run_cmd_from_buffer(struct nft_ctx *nft, const char *buf)
  nft_run_cmd_from_buffer: { parameters: ["pointer", "buffer"], result: "i32" },
} as const;

const nft = () => openLibrary("libnftables.so.1", symbols);

/** nftables/libnftables.h, NFT_CTX_OUTPUT_* */
const OUTPUT_STATELESS = 1 << 2;
const OUTPUT_HANDLE = 1 << 3;
const OUTPUT_JSON = 1 << 4;
const OUTPUT_TERSE = 1 << 11;
const OUTPUT_NUMERIC_ALL = 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10;

/** How one call of {@linkcode Nftables.run} is carried out. */
export interface NftablesOptions {
  /** Output as JSON (libnftables-json(5)). Commands in JSON are recognised without it. */
  json?: boolean;
  /** Check the commands, the kernel's part included, and change nothing. */
  dryRun?: boolean;
  /** Show handles, which deleting a rule needs. */
  handles?: boolean;
  /** Leave out counters and other state, for comparing rule sets. */
  stateless?: boolean;
  /** Leave out the elements of sets, where libnftables can (0.9.3 and newer). */
  terse?: boolean;
}

/** nftables refused a command. Nothing of the call's commands was carried out. */
export class NftablesError extends Error {
  /** Always "NftablesError". */
  override readonly name = "NftablesError";
  /** All that libnftables says, with the place of the mistake marked. */
  readonly output: string;
  /** The commands that were refused. */
  readonly commands: string;

  /**
   * An error made of libnftables' output.
   *
   * @param commands The commands that were refused.
   * @param output What libnftables said.
   */
  constructor(commands: string, output: string) {
    const said = output.split("\n").find((line) => line.includes("Error:")) ?? output.trim();
    const state = said.replace(/^.*Error:\s*/, "") || "libnftables gives no reason";
    super(`Cannot run nftables commands: ${state}`);
    this.output = output;
    this.commands = commands;
  }
}

/** This host cannot have rules of nftables at the moment, though it has the library. */
export class NoNftablesError extends Error {
  /** Always "NoNftablesError". */
  override readonly name = "NoNftablesError";
  /** One sentence that says what to do. */
  readonly remedy: string;

  /**
   * An error about the socket that nftables is spoken to by.
   *
   * @param cause Why it cannot be opened.
   */
  constructor(cause: SystemError) {
    super(`Cannot speak to the kernel's nftables: ${cause.message}`, { cause });
    this.remedy = cause.code === "EPROTONOSUPPORT"
      ? "Load the module nfnetlink; if its files are gone since the kernel was upgraded, reboot"
      : "See what keeps this process from opening a socket: its limit of files, or a filter of system calls";
  }
}

/** socket(2) */
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;

/**
 * Opens the socket that the library is about to open, and closes it: where that fails, libmnl prints a line and ends the whole process.
 */
function trySocket(): void {
  try {
    closeFile(check(
      libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER),
      "open a socket of nfnetlink",
    ));
  } catch (error) {
    throw error instanceof SystemError ? new NoNftablesError(error) : error;
  }
}

/** A context of libnftables. It acts on the network namespace in which it was made. */
export class Nftables implements Disposable {
  #context: Deno.PointerObject | null;

  /**
   * @throws {MissingLibraryError} if this host has no libnftables.
   * @throws {NoNftablesError} if its kernel has no nfnetlink, or gives no socket.
   * @throws {NftablesError} if there is no memory for a context.
   */
  constructor() {
    const library = nft();
    trySocket();
    const context = library.nft_ctx_new(0);
    if (context === null) throw new NftablesError("", "Error: out of memory");
    this.#context = context;
    if (
      library.nft_ctx_buffer_output(context) !== 0 || library.nft_ctx_buffer_error(context) !== 0
    ) {
      this[Symbol.dispose]();
      throw new NftablesError("", "Error: out of memory");
    }
  }

  /**
   * Runs commands as one transaction: all of them, or none.
   *
   * @param commands one a line, as for `nft -f`.
   * @returns what the commands print, empty for most.
   * @throws {NftablesError} if one of them is refused.
   *
   * @example
   * ```ts
   * import { newNetns, withNetns } from "@knet/knet";
   * import assert from "node:assert/strict";
   *
   * using namespace = newNetns();
   * withNetns(namespace.fd, () => {
   *   using nft = new Nftables();
   *   nft.run("add table inet example\nadd chain inet example forward");
   *   assert.match(nft.run("list ruleset"), /table inet example/);
   * });
   * ```
   */
  run(commands: string, options: NftablesOptions = {}): string {
    const context = this.#context;
    if (context === null) throw new TypeError("Cannot run nftables commands: the context is freed");
    const library = nft();
    library.nft_ctx_output_set_flags(
      context,
      OUTPUT_NUMERIC_ALL | (options.json ? OUTPUT_JSON : 0) |
        (options.handles ? OUTPUT_HANDLE : 0) | (options.stateless ? OUTPUT_STATELESS : 0) |
        (options.terse ? OUTPUT_TERSE : 0),
    );
    library.nft_ctx_set_dry_run(context, options.dryRun === true);
    const status = library.nft_run_cmd_from_buffer(context, cString(commands));
    // Both buffers are read whatever happened: reading is what empties them.
    const output = text(library.nft_ctx_get_output_buffer(context));
    const errors = text(library.nft_ctx_get_error_buffer(context));
    if (status !== 0) throw new NftablesError(commands, errors);
    return output;
  }

  /** Frees the context. Doing it twice does no harm. */
  [Symbol.dispose](): void {
    const context = this.#context;
    this.#context = null;
    if (context !== null) nft().nft_ctx_free(context);
  }
}

function text(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}
