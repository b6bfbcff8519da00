/**
 * What the agent tells over its socket: /status, /services, /metrics, /healthz, /readyz.
 *
 * @module
 */
import { after } from "../base/clock.ts";
import { removeIfPresent } from "../base/files.ts";
import type { ServicesReport } from "../inspect/service_report.ts";
import { agentSocket, type StatusReport } from "../inspect/status.ts";

/** Prometheus' text format. */
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** What the server asks the agent. */
export interface ServerHooks {
  status(): StatusReport;
  /** In Prometheus' text format. */
  metrics(): Promise<string>;
  /** Asked by `knet svc`; absent on a host without services. */
  services?(): ServicesReport;
  /** Undefined if all is well, else what is not. */
  notReady(): string | undefined;
  /** Asked by `knet leave`. */
  stop(): void;
}

/**
 * Serves until disposed.
 *
 * @param listen `ADDRESS:PORT` to serve there as well.
 */
export function serveAgent(
  stateDir: string,
  hooks: ServerHooks,
  listen?: string,
): AsyncDisposable {
  const answer = async (request: Request, local: boolean): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (request.method === "POST" && pathname === "/stop" && local) {
      // After the answer is out.
      after(20, () => hooks.stop());
      return new Response("stopping\n");
    }
    if (request.method !== "GET") return new Response("Method not allowed\n", { status: 405 });
    switch (pathname) {
      case "/status":
        return Response.json(hooks.status());
      case "/metrics":
        return new Response(await hooks.metrics(), {
          headers: { "content-type": METRICS_TYPE },
        });
      case "/services":
        if (hooks.services === undefined) break;
        return Response.json(hooks.services());
      case "/healthz":
        return new Response("ok\n");
      case "/readyz": {
        const reason = hooks.notReady();
        return new Response(`${reason ?? "ok"}\n`, { status: reason === undefined ? 200 : 503 });
      }
    }
    return new Response("Not found\n", { status: 404 });
  };
  const path = agentSocket(stateDir);
  removeIfPresent(path); // Nobody else serves it: the agent's lock is ours.
  const servers = [
    Deno.serve({ path, onListen: () => {} }, (request) => answer(request, true)),
  ];
  Deno.chmodSync(path, 0o660);
  if (listen !== undefined) {
    const colon = listen.lastIndexOf(":");
    servers.push(
      Deno.serve({
        hostname: listen.slice(0, colon).replace(/^\[|\]$/g, ""),
        port: Number(listen.slice(colon + 1)),
        onListen: () => {},
      }, (request) => answer(request, false)) as unknown as typeof servers[number],
    );
  }
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server.shutdown()));
      removeIfPresent(path);
    },
  };
}
