import assert from "node:assert/strict";
import { readTrace } from "./syscalls.ts";

Deno.test("readTrace() begins at the program and tells paths from data", () => {
  const trace = readTrace(
    `1 openat(AT_FDCWD, "/tmp/before", O_RDONLY) = 3
1 execve("/usr/bin/knet", ["/usr/bin/knet", "join"], 0x7ffd /* 3 vars */) = 0
2 openat(AT_FDCWD, "/run/knet", O_RDONLY|O_CLOEXEC) = 3
2 write(3, "/tmp/data", 9) = 9
3 futex(0x1, FUTEX_WAIT <unfinished ...>
3 <... futex resumed>) = 0
3 rename("a\\"b", "/run/c") = 0
--- SIGTERM ---
`,
    "/usr/bin/knet",
  );
  assert.deepEqual([...trace.calls], ["openat", "write", "futex", "rename"]);
  assert.deepEqual(trace.paths, ["/run/knet", 'a\\"b', "/run/c"]);
});
