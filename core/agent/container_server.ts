/**
 * The agent's socket for the plugins of container runtimes. It is another than that of status and metrics, and root's alone: whoever
 * may look at the host need not be allowed to rearrange its containers.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import * as v from "valibot";
import { messageOf } from "../base/error.ts";
import { removeIfPresent } from "../base/files.ts";
import { parseShape } from "../base/shape.ts";
import { containerSocket } from "../container/ask.ts";
import { answerIpam } from "../container/docker/ipam.ts";
import { dockerSocket } from "../container/docker/network.ts";
import { answerCni, type CniCall, type CniHost } from "../container/cni/serve.ts";
import { NETAVARK_COMMANDS } from "../container/netavark/protocol.ts";
import { answerNetavark } from "../container/netavark/serve.ts";
import { serveDoorbell } from "./doorbell_server.ts";
import { type Asked, type HttpAnswer, HttpListener } from "./http_listener.ts";

const log = getLogger(["knet", "containers"]);

/** A runtime that starts hundreds of containers at once asks for all at once. Each connection waits for its turn. */
const BOUNDS = { connections: 1024, body: 1 << 20, patience: 60_000 };

const NETNS_SEEN = v.optional(v.pipe(v.string(), v.regex(/^\d+:\d+$/)));

const REQUEST: v.GenericSchema<unknown, CniCall> = v.looseObject({
  environment: v.record(v.string(), v.string()),
  config: v.string(),
  netnsSeen: NETNS_SEEN,
});

const QUESTION = v.looseObject({
  command: v.picklist(NETAVARK_COMMANDS),
  netns: v.string(),
  netnsSeen: NETNS_SEEN,
  input: v.string(),
});

/**
 * Serves until disposed.
 *
 * @param network asked how it goes.
 * @throws {Error} if nobody can listen there.
 */
export function serveContainers(
  { stateDir, dataDir }: { readonly stateDir: string; readonly dataDir: string },
  network: { readonly ready: boolean; readonly problem: string | undefined },
): AsyncDisposable {
  const host: CniHost = {
    stateDir,
    dataDir,
    notReady: () => network.ready ? undefined : network.problem ?? "it has not joined yet",
    limited: () => network.problem,
  };
  // One after the other: the book has one lock, and who waits for it here waits in order.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = (answer: (asked: Asked) => Promise<HttpAnswer>) => (asked: Asked) => {
    const turn = last.then(() => answer(asked));
    last = turn.catch(() => {});
    return turn;
  };
  const plugins = inTurn((asked) => answer(host, asked));
  const sockets = [
    listen(containerSocket(stateDir), plugins),
    // Their scripts ask without a socket, which a shell has not.
    serveDoorbell(
      stateDir,
      ({ path, body }, wanted) => plugins({ method: "POST", path, body, host: undefined, wanted }),
    ),
    // Docker speaks as it likes, and finds the way by the file that `knet install docker` places.
    listen(dockerSocket(stateDir), inTurn((asked) => answerDocker(host, asked))),
  ];
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(sockets.map((one) => one[Symbol.asyncDispose]()));
      await last;
    },
  };
}

function listen(path: string, answer: (asked: Asked) => Promise<HttpAnswer>): AsyncDisposable {
  removeIfPresent(path); // Nobody else serves it: the agent's lock is ours.
  const unix = Deno.listen({ transport: "unix", path });
  Deno.chmodSync(path, 0o600);
  const listener = new HttpListener(unix, BOUNDS, answer);
  return {
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      removeIfPresent(path);
    },
  };
}

async function answerDocker(
  host: CniHost,
  { method, path, body = "" }: Asked,
): Promise<HttpAnswer> {
  const document = method === "POST" ? await answerIpam(host, path, body) : undefined;
  if (document === undefined) return { status: 404, body: "Not found\n" };
  log.debug("{path}: {document}", { path, document: JSON.stringify(document) });
  return {
    status: 200,
    body: JSON.stringify(document),
    type: "application/vnd.docker.plugins.v1.2+json",
  };
}

/** For who waits no more for a container, and asks again: what came now would be in the way then. */
const TOO_LATE: HttpAnswer = { status: 503, body: "Too late\n" };

async function answer(host: CniHost, asked: Asked): Promise<HttpAnswer> {
  const { method, path, body = "", wanted = () => true } = asked;
  if (path !== "/cni" && path !== "/netavark") return { status: 404, body: "Not found\n" };
  if (method !== "POST") return { status: 405, body: "Method not allowed\n" };
  try {
    return path === "/cni"
      ? await forCni(host, body, wanted)
      : await forNetavark(host, body, wanted);
  } catch (error) {
    return { status: 400, body: `${messageOf(error)}\n` };
  }
}

async function forCni(
  host: CniHost,
  body: string,
  wanted: () => boolean,
): Promise<HttpAnswer> {
  const request = parseShape(REQUEST, body);
  if (request.environment.CNI_COMMAND === "ADD" && !wanted()) return TOO_LATE;
  const { ok, document } = await answerCni(host, request);
  const { CNI_COMMAND: command, CNI_CONTAINERID: container } = request.environment;
  if (ok) log.debug("{command} {container}", { command, container });
  else log.warn("{command} {container}: {document}", { command, container, document });
  return { status: ok ? 200 : 422, body: document, type: "application/json" };
}

async function forNetavark(
  host: CniHost,
  body: string,
  wanted: () => boolean,
): Promise<HttpAnswer> {
  const question = parseShape(QUESTION, body);
  if (question.command === "setup" && !wanted()) return TOO_LATE;
  const { ok, document } = await answerNetavark(host, question);
  const { command, netns } = question;
  if (ok) log.debug("{command} {netns}", { command, netns });
  else log.warn("{command} {netns}: {document}", { command, netns, document });
  return { status: ok ? 200 : 422, body: document, type: "application/json" };
}
