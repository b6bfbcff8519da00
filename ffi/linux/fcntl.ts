/**
 * Constants of fcntl.h, linux/fcntl.h, sys/eventfd.h and poll.h, as they are on x86-64, arm64 and riscv64.
 *
 * @module
 */

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_TRUNC = 0o1000;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;

/** The descriptor itself is meant, not a file beside it. */
export const AT_EMPTY_PATH = 0x1000;

// sys/eventfd.h
/** Each read counts down by one. */
export const EFD_SEMAPHORE = 1;
export const EFD_NONBLOCK = 0o4000;
export const EFD_CLOEXEC = 0o2000000;

// poll.h
export const POLLIN = 0x1;
export const POLLOUT = 0x4;
/** Bytes of struct pollfd: int fd, short events, short revents. */
export const POLLFD = 8;
