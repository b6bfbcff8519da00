import assert from "node:assert/strict";
import {
  closeFile,
  errno,
  fileId,
  libc,
  O_RDONLY,
  openFile,
  readLink,
  readSmallFile,
  SystemError,
  writeSmallFile,
} from "./libc.ts";
import { readSysctl, sysctlPath, writeSysctl } from "./sysctl.ts";

const ENOENT = 2;
const EBADF = 9;
const EISDIR = 21;

Deno.test("errno() survives what V8 does between the call and the reading", () => {
  const c = libc();
  const buffer = new Uint8Array(8);
  const path = new TextEncoder().encode("/nonexistent/knet\0");
  const garbage: unknown[] = [];
  for (let round = 0; round < 50_000; round++) {
    assert.equal(Number(c.read(-1, buffer, 8n)), -1);
    assert.equal(errno(), EBADF);
    assert.equal(c.open(path, 0, 0), -1);
    assert.equal(errno(), ENOENT);
    garbage.push(new Array(64).fill(round));
    if (garbage.length > 5_000) garbage.length = 0;
  }
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
