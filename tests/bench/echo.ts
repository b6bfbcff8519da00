/**
 * Requests of one byte and answers of one byte over TCP, by blocking calls: what is measured is the network,
 * not an event loop. `echo.ts serve PORT`, or `echo.ts ask ADDRESS PORT COUNT`, which prints microseconds, a line each.
 *
 * @module
 */
import { writeSockaddr } from "../../ffi/packet_io.ts";
import { addressToNumber } from "../../core/base/address.ts";

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept: { parameters: ["i32", "pointer", "pointer"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

const byte = new Uint8Array(new ArrayBuffer(1));
const one = new Uint8Array(new Int32Array([1]).buffer);

function open(): number {
  const fd = libc.socket(2, 1, 0);
  libc.setsockopt(fd, 1, 2, one, 4); // SO_REUSEADDR
  libc.setsockopt(fd, 6, 1, one, 4); // TCP_NODELAY
  return fd;
}

function sockaddr(address: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(16));
  writeSockaddr(new DataView(bytes.buffer), 0, Number(addressToNumber(address)), port);
  return bytes;
}

function serve(port: number): void {
  const listener = open();
  if (libc.bind(listener, sockaddr("0.0.0.0", port), 16) < 0) throw new Error("Cannot bind");
  libc.listen(listener, 8);
  console.log("ready");
  while (true) {
    const fd = libc.accept(listener, null, null);
    libc.setsockopt(fd, 6, 1, one, 4);
    while (libc.read(fd, byte, 1n) === 1 && libc.write(fd, byte, 1n) === 1);
    libc.close(fd);
  }
}

function ask(address: string, port: number, count: number): void {
  const fd = open();
  if (libc.connect(fd, sockaddr(address, port), 16) < 0) throw new Error("Cannot connect");
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    const start = performance.now();
    libc.write(fd, byte, 1n);
    if (libc.read(fd, byte, 1n) !== 1) throw new Error("Cannot read");
    times.push((performance.now() - start) * 1000);
  }
  console.log(times.map((time) => time.toFixed(1)).join("\n"));
}

const [mode, ...rest] = Deno.args;
if (mode === "serve") serve(Number(rest[0]));
else ask(rest[0] ?? "", Number(rest[1]), Number(rest[2]));
