/**
 * Doctor's look at published ports: whoever has begun to listen at one since hears nothing, as what comes to it goes to the container.
 * Nobody told him so: Docker, which publishes a port by itself, for one.
 *
 * @module
 */
import { readBook } from "../../container/addresses.ts";
import {
  type Listener,
  listenerAt,
  ownerOfSocket,
  ownerText,
  readListeners,
} from "../../container/listeners.ts";
import { portText } from "../../container/port_request.ts";
import { keepersFor } from "../../container/publish.ts";
import { type ContainerRecord, shownName } from "../../container/record.ts";
import { bootId } from "../../cluster/node_identity.ts";
import { plural } from "../../base/plural.ts";
import { type DoctorCheck, examine, type Finding, ok, warn } from "./check.ts";

/**
 * Who listens at ports that containers have published.
 *
 * @param ownerOf finds the process that has a socket.
 */
export function portsFinding(
  book: readonly ContainerRecord[],
  listeners: readonly Listener[],
  ownerOf = ownerOfSocket,
): Finding {
  const ports = book.flatMap((record) => (record.ports ?? []).map((port) => ({ record, port })));
  const twice = ports.flatMap(({ record, port }) => {
    const listener = listenerAt(port, listeners);
    const owner = listener && ownerOf(listener.inode);
    if (listener === undefined) return [];
    // It keeps the port for this container.
    if (owner !== undefined && keepersFor(record.runtime).has(owner.name)) return [];
    const who = ownerText(listener.inode, owner);
    return [`${portText(port)} of container "${shownName(record)}" (${who} listens there)`];
  });
  if (twice.length === 0) return ok(`${plural(ports.length, "port")} published`);
  const shown = twice.slice(0, 5).join(", ");
  return warn(
    `what comes to these goes to the containers, and not to who listens: ${shown}${
      twice.length > 5 ? " …" : ""
    }`,
    "Let it listen at, or Docker publish, another port, or publish the container's at another",
  );
}

/** The check, where a container has published a port. */
export async function portChecks(dataDir: string): Promise<DoctorCheck[]> {
  let book: ContainerRecord[];
  try {
    book = readBook({ dataDir, bootId: bootId() });
  } catch {
    return []; // Attaching says what is wrong with it, and others than root may not read it.
  }
  if (!book.some(({ ports }) => ports !== undefined && ports.length > 0)) return [];
  const look = () => portsFinding(book, readListeners(new Set(["tcp", "udp", "sctp"])));
  return [await examine("published ports", look)];
}
