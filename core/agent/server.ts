/**
 * What the agent tells over its socket: /status, /services, /metrics, /healthz, /readyz.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { after } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import { removeIfPresent } from "../base/files.ts";
import type { ServicesReport } from "../inspect/service_report.ts";
import { agentSocket } from "../inspect/ask_agent.ts";
import type { LookReport } from "../inspect/probe/look.ts";
import type { StatusReport } from "../inspect/status.ts";
import { type Asked, type HttpAnswer, HttpListener } from "./http_listener.ts";
import { isOwnName } from "./http_request.ts";

const log = getLogger(["knet", "agent"]);

/** Prometheus' text format. */
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";
/** Connections at once, on the socket and over TCP: what one takes, the other does not lack. */
const MOST_CONNECTIONS = 64;

/** What the server asks the agent. */
export interface ServerHooks {
  status(): StatusReport;
  /** In Prometheus' text format. */
  metrics(): Promise<string>;
  /** Asked by `knet svc`; absent on a host without services. */
  services?(): ServicesReport;
  /** Has the path to something looked at, on the socket alone; undefined: nothing is known by that word. */
  look?(word: string): Promise<LookReport | undefined>;
  /** What all hosts know of their paths, on the socket alone. */
  paths?(): Promise<unknown>;
  /** Undefined if all is well, else what is not. */
  notReady(): string | undefined;
  /** Asked by `knet leave`. */
  stop(): void;
}

const text = (status: number, sentence: string): HttpAnswer => ({ status, body: `${sentence}\n` });
const json = (value: unknown): HttpAnswer => ({
  status: 200,
  body: JSON.stringify(value),
  type: "application/json",
});

async function answer(hooks: ServerHooks, { method, path }: Asked): Promise<HttpAnswer> {
  if (method !== "GET" && method !== "HEAD") return text(405, "Method not allowed");
  switch (path) {
    case "/status":
      return json(hooks.status());
    case "/metrics":
      return { status: 200, body: await hooks.metrics(), type: METRICS_TYPE };
    case "/services":
      if (hooks.services === undefined) break;
      return json(hooks.services());
    case "/healthz":
      return text(200, "ok");
    case "/readyz": {
      const reason = hooks.notReady();
      return text(reason === undefined ? 200 : 503, reason ?? "ok");
    }
  }
  return text(404, "Not found");
}

/** What makes packets go out is asked by this host's own commands alone. */
async function answerLocal(hooks: ServerHooks, asked: Asked): Promise<HttpAnswer> {
  const { method, path } = asked;
  if (method === "GET" && path === "/paths" && hooks.paths !== undefined) {
    return json(await hooks.paths());
  }
  const word = method === "GET" ? /^\/probe\/([^/]{1,256})$/.exec(path)?.[1] : undefined;
  if (word === undefined || hooks.look === undefined) return await answer(hooks, asked);
  const report = await hooks.look(decodeURIComponent(word));
  return report === undefined ? text(404, "Not found") : json(report);
}

/** A question that the agent stumbles over is answered, and logged in one line. */
async function answerOrTell(
  hooks: ServerHooks,
  asked: Asked,
  how = answer,
): Promise<HttpAnswer> {
  try {
    return await how(hooks, asked);
  } catch (error) {
    log.error("Cannot answer {path}: {message}", { path: asked.path, message: messageOf(error) });
    return text(500, `Cannot answer: ${messageOf(error)}`);
  }
}

/**
 * Serves until disposed.
 *
 * @param listen `ADDRESS:PORT` to serve there as well, by addresses and names of this host only.
 * @throws {Error} if nobody can listen there.
 */
export function serveAgent(
  stateDir: string,
  hooks: ServerHooks,
  listen?: string,
): AsyncDisposable {
  const path = agentSocket(stateDir);
  removeIfPresent(path); // Nobody else serves it: the agent's lock is ours.
  const listeners = [
    new HttpListener(Deno.listen({ transport: "unix", path }), MOST_CONNECTIONS, (asked) => {
      if (asked.method !== "POST" || asked.path !== "/stop") {
        return answerOrTell(hooks, asked, answerLocal);
      }
      // After the answer is out.
      after(20, () => hooks.stop());
      return Promise.resolve(text(200, "stopping"));
    }),
  ];
  Deno.chmodSync(path, 0o660);
  if (listen !== undefined) {
    const colon = listen.lastIndexOf(":");
    const hostname = listen.slice(0, colon).replace(/^\[|\]$/g, "");
    const listener = Deno.listen({ hostname, port: Number(listen.slice(colon + 1)) });
    const names = [Deno.hostname(), hostname];
    listeners.push(
      new HttpListener(
        listener,
        MOST_CONNECTIONS,
        (asked) =>
          isOwnName(asked.host, names)
            ? answerOrTell(hooks, asked)
            : Promise.resolve(text(421, "This host has no such name")),
      ),
    );
  }
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(listeners.map((one) => one[Symbol.asyncDispose]()));
      removeIfPresent(path);
    },
  };
}
