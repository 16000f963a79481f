/*
 * A wire that loses, delays and cuts, for TCP connections within one network namespace: a TUN device whose packets come
 * back with other addresses. Who connects from 10.9.N.1 to 10.9.N.4 reaches who listens on 10.9.N.2 and sees 10.9.N.3:
 * both pairs have the same sum, so that no checksum changes. N is the leg.
 *
 * Prints "ready" once the device is there; takes lines "leg direction lost delay jitter largest" on standard input,
 * direction 0 towards who listens and 1 back, lost in thousandths, times in milliseconds, largest in bytes, 0 for any; and
 * answers each with "set". Ends with its input.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LEGS = 8, PACKET = 2048, QUEUE = 8192 };

struct fault { int lost, delay, jitter, largest; };
struct waiting { long long due; int length; unsigned char *bytes; };

static struct fault faults[LEGS][2];
/* In order of their time, the next one last. */
static struct waiting queue[QUEUE];
static int queued;

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int open_device(const char *name) {
  int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (device < 0 || ioctl(device, TUNSETIFF, &request) < 0) {
    perror("/dev/net/tun");
    exit(1);
  }
  return device;
}

static void enqueue(const unsigned char *bytes, int length, long long due) {
  if (queued == QUEUE) return;
  int at = queued++;
  for (; at > 0 && queue[at - 1].due <= due; at--) queue[at] = queue[at - 1];
  queue[at].due = due;
  queue[at].length = length;
  queue[at].bytes = malloc(length);
  memcpy(queue[at].bytes, bytes, length);
}

static void pass(int device, unsigned char *bytes, int length) {
  /* IPv4 from 10.9.N.x to 10.9.N.y. */
  if (length < 20 || bytes[0] >> 4 != 4 || bytes[12] != 10 || bytes[13] != 9 || bytes[14] >= LEGS) return;
  int isForward = bytes[15] == 1 && bytes[19] == 4;
  int isBack = bytes[15] == 2 && bytes[19] == 3;
  if (!isForward && !isBack) return;
  struct fault *fault = &faults[bytes[14]][isBack];
  if (fault->largest > 0 && length > fault->largest) return;
  if (rand() % 1000 < fault->lost) return;
  bytes[15] = isForward ? 3 : 4;
  bytes[19] = isForward ? 2 : 1;
  int later = fault->delay + (fault->jitter > 0 ? rand() % fault->jitter : 0);
  if (later > 0) enqueue(bytes, length, now_ms() + later);
  else if (write(device, bytes, length) < 0 && errno != EAGAIN) perror("wire");
}

/* Whole lines only; false at the end of input. */
static int take_commands(void) {
  static char text[4096];
  static size_t held;
  ssize_t got = read(0, text + held, sizeof text - held - 1);
  if (got <= 0) return 0;
  held += got;
  text[held] = 0;
  for (char *end; (end = strchr(text, '\n')) != NULL;) {
    int leg, direction;
    struct fault fault;
    *end = 0;
    if (sscanf(text, "%d %d %d %d %d %d", &leg, &direction, &fault.lost, &fault.delay, &fault.jitter, &fault.largest) != 6 ||
        leg < 0 || leg >= LEGS || direction < 0 || direction > 1) {
      fprintf(stderr, "wire: what is %s\n", text);
      exit(2);
    }
    faults[leg][direction] = fault;
    printf("set\n");
    held -= end + 1 - text;
    memmove(text, end + 1, held + 1);
  }
  return 1;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  int device = open_device(argc > 1 ? argv[1] : "wire");
  srand(argc > 2 ? atoi(argv[2]) : 1);
  printf("ready\n");
  for (;;) {
    while (queued > 0 && queue[queued - 1].due <= now_ms()) {
      struct waiting *first = &queue[--queued];
      if (write(device, first->bytes, first->length) < 0 && errno != EAGAIN) perror("wire");
      free(first->bytes);
    }
    struct pollfd polled[2] = {{0, POLLIN, 0}, {device, POLLIN, 0}};
    long long rest = queued == 0 ? -1 : queue[queued - 1].due - now_ms();
    if (poll(polled, 2, rest < 0 && queued > 0 ? 0 : (int)rest) < 0) continue;
    if (polled[0].revents != 0 && !take_commands()) return 0;
    if (polled[1].revents == 0) continue;
    unsigned char bytes[PACKET];
    ssize_t length = read(device, bytes, sizeof bytes);
    if (length > 0) pass(device, bytes, length);
  }
}
