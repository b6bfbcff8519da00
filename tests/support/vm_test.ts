import assert from "node:assert/strict";
import { moduleOrder } from "./vm_initrd.ts";

Deno.test("moduleOrder() puts modules behind those that they need, once each", () => {
  const dependencies = [
    "kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/netfs/netfs.ko",
    "kernel/net/9p/9pnet.ko:",
    "kernel/fs/netfs/netfs.ko.xz:",
    "kernel/fs/netfs/netfs.ko: kernel/fs/netfs/netfs.ko.xz",
    "kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko",
  ].join("\n");
  assert.deepEqual(moduleOrder(dependencies, ["9pnet_virtio", "virtio_pci", "9p"]), [
    "kernel/net/9p/9pnet.ko",
    "kernel/net/9p/9pnet_virtio.ko",
    "kernel/fs/netfs/netfs.ko.xz",
    "kernel/fs/netfs/netfs.ko",
    "kernel/fs/9p/9p.ko",
  ]);
});
