/**
 * Looks by a connection over which something is said and waited for: plain words, or TLS alone.
 *
 * @module
 */
import type { CheckWords } from "../services/check_kinds.ts";
import { bytesOf, Finder } from "./bytes.ts";
import { converse, MOST_BYTES, type Script, type Tls } from "./conversation.ts";
import { PASSED, type ProbeResult, type ProbeTarget } from "./probe.ts";

/** Says something and waits for something; without a wish a connection is all. */
function wordsScript({ send = "", expect }: CheckWords): Script {
  const finder = new Finder(expect ?? "");
  let came = false;
  return {
    send: bytesOf(send),
    judge(piece) {
      came ||= piece !== "";
      finder.push(piece);
      return finder.found ? PASSED : undefined;
    },
    end(full) {
      if (!came) return { passed: false, detail: "no answer" };
      const where = full ? `the answer's first ${MOST_BYTES} bytes lack` : "the answer lacks";
      return { passed: false, detail: `${where} what is expected` };
    },
  };
}

/** Looks by a connection, over TLS if that is given, and by words. */
export function wordsProbe(
  target: ProbeTarget,
  words: CheckWords,
  tls: Tls | undefined,
  done: (result: ProbeResult) => void,
): () => void {
  return converse(target, wordsScript(words), tls, done);
}
