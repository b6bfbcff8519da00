/**
 * The list of commands. Each file is loaded when its command is called.
 *
 * @module
 */
import type { CommandEntry } from "./command.ts";

/** All commands in the order of the help page. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "up",
    summary: "Begin a cluster on this host, or join one by its token",
    load: async () => (await import("./up.ts")).up,
  },
  {
    name: "init",
    summary: "Write the cluster's configuration to the store",
    load: async () => (await import("./init.ts")).init,
  },
  {
    name: "join",
    summary: "Make this host part of the cluster and keep it so (the agent)",
    load: async () => (await import("./join.ts")).join,
  },
  {
    name: "token",
    summary: "Make, list and revoke tokens by which hosts join",
    load: async () => (await import("./token.ts")).token,
  },
  {
    name: "leave",
    summary: "Take this host out of the cluster",
    load: async () => (await import("./leave.ts")).leave,
  },
  {
    name: "status",
    summary: "Show this host, its peers and its containers",
    load: async () => (await import("./status.ts")).status,
  },
  {
    name: "lease",
    summary: "List, show, release, reserve and prune leases",
    load: async () => (await import("./lease.ts")).lease,
  },
  {
    name: "svc",
    summary: "Virtual addresses in front of real servers, balanced by every host",
    load: async () => (await import("./svc/svc.ts")).svc,
  },
  {
    name: "store",
    summary: "Look at, check, back up, restore, adopt and recover the store",
    load: async () => (await import("./store_command.ts")).store,
  },
  {
    name: "attach",
    summary: "Connect a container's network namespace",
    load: async () => (await import("./attach.ts")).attach,
  },
  {
    name: "detach",
    summary: "Disconnect a container's network namespace",
    load: async () => (await import("./detach.ts")).detach,
  },
  {
    name: "container",
    summary: "List and show the containers of all hosts",
    load: async () => (await import("./container.ts")).container,
  },
  {
    name: "install",
    summary: "Make knet known to container runtimes on this host",
    load: async () => (await import("./install.ts")).install,
  },
  {
    name: "ping",
    summary: "Send packets to a peer, container or service, and tell how they fare",
    load: async () => (await import("./ping.ts")).ping,
  },
  {
    name: "netcheck",
    summary: "Try the paths between all hosts, and tell what is wrong",
    load: async () => (await import("./netcheck.ts")).netcheck,
  },
  {
    name: "trace",
    summary: "Explain the way a packet takes, step by step",
    load: async () => (await import("./trace.ts")).trace,
  },
  {
    name: "doctor",
    summary: "Find what is missing or wrong on this host",
    load: async () => (await import("./doctor.ts")).doctor,
  },
  {
    name: "bugreport",
    summary: "Pack what is known of a fault into one archive",
    load: async () => (await import("./bugreport.ts")).bugreport,
  },
  {
    name: "completion",
    summary: "Print a completion script for a shell",
    load: async () => (await import("./completion/completion.ts")).completionOf(COMMANDS),
  },
  {
    name: "version",
    summary: "Print the version",
    load: async () => (await import("./version_command.ts")).version,
  },
];
