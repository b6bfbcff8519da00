/**
 * What the kernel answers a request with: an errno and, where it has one, a sentence.
 *
 * @module
 */
import { NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_HDRLEN, NLMSGERR_ATTR_MSG } from "../linux/netlink.ts";
import { Attributes, type MessageView } from "./message.ts";

/** Reads a struct nlmsgerr and the extended acknowledgement behind it. */
export function decodeError(message: MessageView): { errno: number; message: string | undefined } {
  const { view, offset, end } = message;
  if (end - offset < 4 + NLMSG_HDRLEN) return { errno: 0, message: undefined };
  const code = 0 - view.getInt32(offset, true);
  if (code === 0 || (message.flags & NLM_F_ACK_TLVS) === 0) {
    return { errno: code, message: undefined };
  }
  const inner = message.flags & NLM_F_CAPPED ? NLMSG_HDRLEN : view.getUint32(offset + 4, true);
  if (inner > end - offset) return { errno: code, message: undefined };
  return { errno: code, message: messageBehind(message, 4 + ((inner + 3) & ~3)) };
}

/** The kernel's words in the extended acknowledgement that starts so many bytes into the payload. */
export function messageBehind(message: MessageView, skip: number): string | undefined {
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return undefined;
  const { data, view, offset, end } = message;
  return new Attributes().parse(data, view, offset + skip, end).string(NLMSGERR_ATTR_MSG);
}
