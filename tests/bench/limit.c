/*
 * The limit: sends prebuilt netlink messages as fast as the kernel takes them.
 *
 * The file is a sequence of sends, each a length (u32, host order) and that many bytes of messages, of which the last one asks for
 * an acknowledgement. Everything is read before the clock starts. Prints the nanoseconds from the first send to the last
 * acknowledgement; any refusal is an error.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "limit: cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned char *read_all(const char *path, long *size)
{
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END) || (*size = ftell(file)) < 0)
		die("open the file of messages");
	rewind(file);
	unsigned char *bytes = malloc(*size);
	if (!bytes || fread(bytes, 1, *size, file) != (size_t)*size)
		die("read the file of messages");
	fclose(file);
	return bytes;
}

/* The sequence number of the last message of a send. */
static unsigned int last_sequence(const unsigned char *bytes, unsigned int size)
{
	const struct nlmsghdr *header = NULL;
	for (unsigned int at = 0; at < size; at += NLMSG_ALIGN(header->nlmsg_len))
		header = (const struct nlmsghdr *)(bytes + at);
	return header ? header->nlmsg_seq : 0;
}

static void await_ack(int fd, unsigned int sequence)
{
	static unsigned char answer[65536];
	for (;;) {
		int size = recv(fd, answer, sizeof answer, 0);
		if (size < 0)
			die("receive");
		for (struct nlmsghdr *header = (struct nlmsghdr *)answer; NLMSG_OK(header, (unsigned int)size);
		     header = NLMSG_NEXT(header, size)) {
			const struct nlmsgerr *error = NLMSG_DATA(header);
			if (header->nlmsg_type != NLMSG_ERROR)
				continue;
			if (error->error) {
				errno = -error->error;
				die("program an entry");
			}
			if (header->nlmsg_seq == sequence)
				return;
		}
	}
}

int main(int count, char **words)
{
	if (count != 2) {
		fprintf(stderr, "usage: limit FILE\n");
		return 2;
	}
	long size;
	const unsigned char *bytes = read_all(words[1], &size);

	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address))
		die("open a netlink socket");
	int buffer = 4 << 20;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);

	unsigned int sequences[4096], sends = 0;
	for (long at = 0; at < size && sends < 4096; sends++) {
		unsigned int length;
		memcpy(&length, bytes + at, 4);
		sequences[sends] = last_sequence(bytes + at + 4, length);
		at += 4 + length;
	}

	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	long at = 0;
	for (unsigned int index = 0; index < sends; index++) {
		unsigned int length;
		memcpy(&length, bytes + at, 4);
		if (send(fd, bytes + at + 4, length, 0) < 0)
			die("send");
		await_ack(fd, sequences[index]);
		at += 4 + length;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%lld\n", (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec));
	return 0;
}
