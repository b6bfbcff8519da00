/* A packet at a time, as simple as can be, in C: what the packet loop is compared with.
 * simple_loop LOCAL PEER: the device is knet.tun0, the port 8285. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  static unsigned char packet[65536];
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(8285)}, peer = local;
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  strcpy(request.ifr_name, "knet.tun0");
  inet_aton(argv[1], &local.sin_addr);
  inet_aton(argv[2], &peer.sin_addr);
  if (ioctl(tun, TUNSETIFF, &request) < 0 || bind(udp, (void *)&local, sizeof local) < 0) {
    perror("simple_loop");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct pollfd fds[] = {{tun, POLLIN}, {udp, POLLIN}};
    ssize_t length;
    poll(fds, 2, -1);
    if (fds[0].revents && (length = read(tun, packet, sizeof packet)) > 0)
      sendto(udp, packet, length, 0, (void *)&peer, sizeof peer);
    if (fds[1].revents && (length = recv(udp, packet, sizeof packet, 0)) > 0)
      if (write(tun, packet, length) < 0) continue;
  }
}
