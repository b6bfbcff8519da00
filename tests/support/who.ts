/**
 * A server that tells everybody who he is: run with its own name and ports (`web 80 53`), it answers over TCP and UDP with that name
 * and the address that it sees. And those who ask it.
 *
 * @module
 */
import { createSocket } from "node:dgram";
import type { Outcome } from "./exec.ts";

/** Whoever can run a command: a host or a container. */
interface Place {
  run(line: readonly string[], options?: { check?: boolean }): Promise<Outcome>;
}

/** The server's command line. */
export function whoLine(name: string, ...ports: readonly number[]): string[] {
  const program = new URL("./who.ts", import.meta.url).pathname;
  return [Deno.execPath(), "run", "-q", "-A", "--no-check", program, name, ...ports.map(String)];
}

/**
 * Asks.
 *
 * @returns `web 192.168.2.3`, or undefined without an answer within a second.
 */
export async function who(
  from: Place,
  address: string,
  port: number,
  protocol: "tcp" | "udp" = "tcp",
): Promise<string | undefined> {
  const script = `exec 3<>/dev/${protocol}/${address}/${port}; echo >&3; exec head -n 1 <&3`;
  const { stdout } = await from.run(["timeout", "1", "bash", "-c", script], { check: false });
  return stdout.trim() === "" ? undefined : stdout.trim();
}

const encoder = new TextEncoder();

async function overTcp(name: string, port: number): Promise<void> {
  for await (const connection of Deno.listen({ port, hostname: "0.0.0.0" })) {
    const { hostname } = connection.remoteAddr;
    await connection.write(encoder.encode(`${name} ${hostname}\n`)).catch(() => {});
    connection.close();
  }
}

function overUdp(name: string, port: number): void {
  const socket = createSocket("udp4");
  socket.on(
    "message",
    (_, { address, port }) => socket.send(`${name} ${address}\n`, port, address),
  );
  socket.bind(port, "0.0.0.0");
}

if (import.meta.main) {
  const [name = "", ...ports] = Deno.args;
  for (const port of ports.map(Number)) {
    overTcp(name, port);
    overUdp(name, port);
  }
  console.log("ready");
}
