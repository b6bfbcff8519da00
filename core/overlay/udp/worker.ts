/**
 * The packet loop's thread. While the loop runs it hears nothing: the agent posts a message, then writes to
 * the eventfd, and the loop returns to let the message in. The eventfd counts, so that each
 * message ends one run and none is left lying.
 *
 * @module
 */
import { PacketLoop } from "./loop.ts";
import type { LoopReport, LoopRequest } from "./setup.ts";

// Deno's type library has no worker scope beside the window's.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<LoopRequest>) => void;
  postMessage(report: LoopReport): void;
  close(): void;
};

let loop: PacketLoop | undefined;

scope.onmessage = ({ data }) => {
  switch (data.kind) {
    case "start":
      loop = new PacketLoop(
        data.wake,
        data.counters,
        (errno) => scope.postMessage({ kind: "broken", errno }),
      );
      break;
    case "setup":
      loop!.configure(data.setup);
      scope.postMessage({ kind: "heard" });
      break;
    case "peers":
      loop!.usePeers(data.table);
      scope.postMessage({ kind: "heard" });
      break;
    case "stop":
      scope.postMessage({ kind: "stopped" });
      scope.close();
      return;
  }
  loop!.run();
};
