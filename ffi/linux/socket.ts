/**
 * Constants of sys/socket.h and asm-generic/socket.h, and the socket options of linux/in.h, linux/icmp.h and linux/udp.h, as they are
 * on x86-64, arm64 and riscv64.
 *
 * @module
 */

// Address families.
export const AF_UNIX = 1;
export const AF_INET = 2;
/** Forwarding entries, to rtnetlink. */
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;

// Types, and the flags that go with them.
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

// Flags of a send or receive.
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
/** Datagrams may go to all on a segment. */
export const SO_BROADCAST = 6;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
/** With a struct timeval. */
export const SO_RCVTIMEO = 20;
/** With an interface's name: nothing goes or comes by another. */
export const SO_BINDTODEVICE = 25;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
/** asm-generic/socket.h; Linux 5.14 */
export const SO_NETNS_COOKIE = 71;

export const SOL_NETLINK = 270;

export const SOL_IP = 0;
/** With a number: a receive tells the hop limit that a packet came with. Its message is IP_TTL. */
export const IP_TTL = 2;
export const IP_PKTINFO = 8;
export const IP_MTU_DISCOVER = 10;
export const IP_RECVTTL = 12;
export const IP_FREEBIND = 15;
/** Value of IP_MTU_DISCOVER: don't-fragment is set, and what is known of the path's MTU is not heeded. */
export const IP_PMTUDISC_PROBE = 3;
export const IPPROTO_ICMP = 1;

export const IPPROTO_TCP = 6;
/** linux/tcp.h: seconds without anything from the other side until it is asked whether it is there. */
export const TCP_KEEPIDLE = 4;
/** Seconds between such questions. */
export const TCP_KEEPINTVL = 5;
/** Questions without an answer after which it is not. */
export const TCP_KEEPCNT = 6;
/** Milliseconds that what was sent may wait for its acknowledgement (RFC 5482). */
export const TCP_USER_TIMEOUT = 18;

export const SOL_RAW = 255;
export const ICMP_FILTER = 1;

export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

/** Bytes of struct sockaddr_in (netinet/in.h). */
export const SOCKADDR_IN = 16;
/** Bytes of struct sockaddr_in6 (netinet/in.h). */
export const SOCKADDR_IN6 = 28;
