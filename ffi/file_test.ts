import assert from "node:assert/strict";
import { EISDIR, ENOENT } from "./errno.ts";
import {
  closeFile,
  fileId,
  openFile,
  OwnedFd,
  readLink,
  readSmallFile,
  writeSmallFile,
} from "./file.ts";
import { SystemError } from "./libc.ts";
import { O_RDONLY } from "./linux/fcntl.ts";
import { readSysctl, sysctlPath, writeSysctl } from "./sysctl.ts";

function isOpen(fd: number): boolean {
  return readLink(`/proc/self/fd/${fd}`) !== undefined;
}

Deno.test("OwnedFd closes its descriptor once, and not that of who has its number next", () => {
  const file = new OwnedFd(openFile("/proc/self/stat", O_RDONLY));
  assert.ok(isOpen(file.fd));
  file[Symbol.dispose]();
  const next = openFile("/proc/self/stat", O_RDONLY);
  assert.equal(next, file.fd);
  file[Symbol.dispose]();
  assert.ok(isOpen(next));
  closeFile(next);
});

Deno.test("OwnedFd.release() leaves the descriptor open for who takes it", () => {
  const take = () => {
    using file = new OwnedFd(openFile("/proc/self/stat", O_RDONLY));
    return file.release();
  };
  using taken = new OwnedFd(take());
  assert.ok(isOpen(taken.fd));
});

Deno.test("readSmallFile() reads files that have no size", () => {
  assert.match(readSmallFile("/proc/self/status")!, /^Name:/);
  assert.ok(readSmallFile("/proc/self/maps")!.length > 4096);
});

Deno.test("readSmallFile() tells a file that is not there from one that cannot be read", () => {
  assert.equal(readSmallFile("/proc/sys/net/nonexistent"), undefined);
  assert.throws(() => readSmallFile("/proc"), (error: unknown) => {
    assert.ok(error instanceof SystemError);
    assert.equal(error.errno, EISDIR);
    assert.equal(error.code, "EISDIR");
    assert.equal(error.path, "/proc");
    assert.equal(error.message, 'Cannot read "/proc": EISDIR (Is a directory)');
    return true;
  });
});

Deno.test("writeSmallFile() creates no file", () => {
  assert.throws(() => writeSmallFile("/proc/sys/nonexistent", "1"), SystemError);
  const folder = Deno.makeTempDirSync();
  try {
    assert.throws(() => writeSmallFile(`${folder}/new`, "1"), { errno: ENOENT });
    Deno.writeTextFileSync(`${folder}/old`, "a longer text");
    writeSmallFile(`${folder}/old`, "short");
    assert.equal(readSmallFile(`${folder}/old`), "short");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("openFile() leaves no descriptor behind when closed 10,000 times", () => {
  const count = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = count();
  for (let round = 0; round < 10_000; round++) closeFile(openFile("/proc/self/stat", O_RDONLY));
  assert.equal(count(), before);
});

Deno.test("fileId() agrees with Deno.statSync()", () => {
  const path = Deno.makeTempFileSync();
  const fd = openFile(path, O_RDONLY);
  try {
    const { major, minor, inode } = fileId(fd);
    const { dev, ino } = Deno.statSync(path);
    assert.equal(Number(inode), ino);
    assert.equal(major * 256 + minor, dev);
  } finally {
    closeFile(fd);
    Deno.removeSync(path);
  }
});

Deno.test("readLink() follows links of /proc", () => {
  assert.match(readLink("/proc/self/ns/net")!, /^net:\[\d+\]$/);
  assert.equal(readLink("/proc/self/ns/nonexistent"), undefined);
});

Deno.test("sysctlPath() keeps the dots of interface names", () => {
  assert.equal(sysctlPath("net.ipv4.ip_forward"), "/proc/sys/net/ipv4/ip_forward");
  assert.equal(
    sysctlPath("net.ipv4.conf.knet.1.forwarding"),
    "/proc/sys/net/ipv4/conf/knet.1/forwarding",
  );
  assert.equal(
    sysctlPath(["net", "ipv6", "conf", "eth0.100", "disable_ipv6"]),
    "/proc/sys/net/ipv6/conf/eth0.100/disable_ipv6",
  );
  assert.equal(
    sysctlPath("net.ipv4.neigh.default.gc_thresh3"),
    "/proc/sys/net/ipv4/neigh/default/gc_thresh3",
  );
  assert.throws(() => sysctlPath(["net", "..", "kernel"]), SyntaxError);
  assert.throws(() => sysctlPath("net..ipv4"), SyntaxError);
});

Deno.test("readSysctl() trims, and knows what is missing", () => {
  assert.match(readSysctl("net.ipv4.ip_forward")!, /^[01]$/);
  assert.equal(readSysctl("net.ipv4.conf.knet-nowhere.forwarding"), undefined);
  assert.throws(() => writeSysctl("net.ipv4.conf.knet-nowhere.forwarding", 1), { errno: ENOENT });
});
