import assert from "node:assert/strict";
import { mountOver } from "./mount_over.ts";
import { exec } from "./exec.ts";
import { skip, whyNoLab } from "./skip.ts";

Deno.test("mountOver() just mounts where nothing has to be kept", () => {
  assert.deepEqual(mountOver("/tmp", ["/root/knet", "/tmpfs/x"]), [
    "mount -t tmpfs -o mode=1777 tmpfs /tmp",
  ]);
});

Deno.test("mountOver() shows a kept folder in the fresh one, and nothing else", async () => {
  const name = "mountOver() shows a kept folder in the fresh one, and nothing else";
  const reason = whyNoLab();
  if (reason !== undefined) return skip(name, reason);
  const place = await Deno.makeTempDir({ prefix: "knet-over-" });
  try {
    await Deno.mkdir(`${place}/it's/here`, { recursive: true });
    await Deno.writeTextFile(`${place}/it's/here/file`, "kept");
    await Deno.writeTextFile(`${place}/hidden`, "");
    const script = [
      "set -e",
      ...mountOver(place, [`${place}/it's/here`]),
      `cat "${place}/it's/here/file"`,
      `ls ${place}`,
    ];
    const { stdout } = await exec(["unshare", "-m", "sh", "-c", script.join("\n")]);
    assert.equal(stdout, "keptit's\n");
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});
