/**
 * `knet svc`: virtual addresses in front of real servers. All but `status` needs only the store: neither root nor libnl.
 *
 * @module
 */
import type { CommandGroup } from "../command.ts";
import { add, drain, drop, rm, set, timeouts, to } from "./edit.ts";
import { apply, exportServices, importRules } from "./files.ts";
import { list, show } from "./list.ts";
import { status } from "./status.ts";

/** The command. */
export const svc: CommandGroup = {
  name: "svc",
  summary: "Virtual addresses in front of real servers, balanced by every host",
  commands: [
    add,
    rm,
    list,
    show,
    set,
    to,
    drain,
    drop,
    apply,
    exportServices,
    importRules,
    status,
    timeouts,
  ],
};
