import assert from "node:assert/strict";
import { closeFile } from "./file.ts";
import { check, libc } from "./libc.ts";
import { openLibrary } from "./load.ts";
import { sdNotify, unixAddress, watchdogInterval } from "./notify.ts";

const symbols = {
  // int bind(int sockfd, const struct sockaddr *addr, socklen_t addrlen)
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
} as const;

function withEnv(values: Record<string, string>, fn: () => void): void {
  const before = Object.keys(values).map((name) => [name, Deno.env.get(name)] as const);
  for (const [name, value] of Object.entries(values)) Deno.env.set(name, value);
  try {
    fn();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}

function listen(name: string): Disposable & { receive(): string } {
  const library = openLibrary("libc.so.6", symbols);
  const address = unixAddress(name)!;
  const fd = check(libc().socket(1, 2, 0), "open a socket");
  check(library.bind(fd, address, address.length), "bind", name);
  return {
    receive() {
      const buffer = new Uint8Array(1024);
      const count = Number(libc().read(fd, buffer, 1024n));
      return new TextDecoder().decode(buffer.subarray(0, count));
    },
    [Symbol.dispose]: () => closeFile(fd),
  };
}

Deno.test("sdNotify() delivers to a socket in the abstract namespace", () => {
  const name = `@knet-system-test-${Deno.pid}`;
  using socket = listen(name);
  withEnv({ NOTIFY_SOCKET: name }, () => {
    assert.equal(sdNotify("READY=1\nSTATUS=3 peers"), true);
    assert.equal(socket.receive(), "READY=1\nSTATUS=3 peers");
  });
});

Deno.test("sdNotify() delivers to a socket with a path", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const name = `${folder}/notify`;
    using socket = listen(name);
    withEnv({ NOTIFY_SOCKET: name }, () => {
      assert.equal(sdNotify("WATCHDOG=1"), true);
      assert.equal(socket.receive(), "WATCHDOG=1");
    });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("sdNotify() never throws", () => {
  withEnv({ NOTIFY_SOCKET: "" }, () => assert.equal(sdNotify("READY=1"), false));
  for (const name of ["@knet-nobody-listens", "/nonexistent/socket", "vsock:2:1", "relative"]) {
    withEnv({ NOTIFY_SOCKET: name }, () => assert.equal(sdNotify("READY=1"), false));
  }
  withEnv({ NOTIFY_SOCKET: `/${"x".repeat(200)}` }, () => assert.equal(sdNotify("READY=1"), false));
});

Deno.test("watchdogInterval() is for the process that is watched", () => {
  withEnv({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: `${Deno.pid}` }, () => {
    assert.equal(watchdogInterval(), 30_000);
  });
  withEnv({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" }, () => {
    assert.equal(watchdogInterval(), undefined);
  });
  for (const value of ["", "0", "-1", "many"]) {
    withEnv({ WATCHDOG_USEC: value, WATCHDOG_PID: `${Deno.pid}` }, () => {
      assert.equal(watchdogInterval(), undefined);
    });
  }
});
