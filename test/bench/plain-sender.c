// What webrtc-fan-out.ts and webrtc-edge-200.ts measure, in plain C: header rewrite, AES-GCM by libcrypto, one segmented
// message for packets that may travel together, many messages a system call. Arguments: session key and salt in hexadecimal.
// Reads from standard input the viewers, "address port" with the address as a number, up to "0 0". Then, a line each:
//   "L ms"                     sends one frame to all, again and again for that many CPU milliseconds (0: once)
//   "E us packets size…"       adds an event: so late after the start, packets of these payload sizes go to all
//   "P ms"                     runs through the events again and again for so long, sleeping in between
// L and P answer with the packets sent, the microseconds of CPU that took, and the bytes sent.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { packets = 9, header = 12, payload = 1200, last = 816, tag = 16, batch = 20, get_tag = 0x10 };

// Declared here, so that a machine without OpenSSL's headers can build it.
static void *(*ctx_new)(void);
static const void *(*aes_128_gcm)(void);
static int (*init)(void *, const void *, void *, const uint8_t *, const uint8_t *);
static int (*update)(void *, uint8_t *, int *, const uint8_t *, int);
static int (*final)(void *, uint8_t *, int *);
static int (*ctrl)(void *, int, int, void *);

static int load(void) {
  void *crypto = dlopen("libcrypto.so.3", RTLD_NOW);
  if (!crypto) return 0;
  *(void **)&ctx_new = dlsym(crypto, "EVP_CIPHER_CTX_new");
  *(void **)&aes_128_gcm = dlsym(crypto, "EVP_aes_128_gcm");
  *(void **)&init = dlsym(crypto, "EVP_EncryptInit_ex");
  *(void **)&update = dlsym(crypto, "EVP_EncryptUpdate");
  *(void **)&final = dlsym(crypto, "EVP_EncryptFinal_ex");
  *(void **)&ctrl = dlsym(crypto, "EVP_CIPHER_CTX_ctrl");
  return ctx_new && aes_128_gcm && init && update && final && ctrl;
}

struct viewer {
  void *cipher;
  uint64_t index;
  struct sockaddr_in address;
};

static double cpu_us(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

enum { max_packets = 512, max_events = 4096, max_train = 65000, max_segments = 64 };

static uint8_t key[16], salt[12];
static uint8_t payloads[max_segments][payload];
static uint8_t slab[batch][max_train];
static struct mmsghdr messages[batch];
static struct iovec vectors[batch];
static union {
  char bytes[CMSG_SPACE(sizeof(uint16_t))];
  struct cmsghdr align;
} controls[batch];
static long sent_bytes;

struct event {
  long at_us;
  int packets;
  uint16_t *sizes;
};

static int protect(struct viewer *viewer, uint8_t *at, const uint8_t *source, int length) {
  int written;
  uint64_t index = viewer->index++;
  uint8_t head[header] = {0x80, 98, index >> 8, index, 0, 1, 0x5f, 0x90, 0, 0, 0x12, 0x34};
  memcpy(at, head, header);
  uint8_t iv[12];
  memcpy(iv, salt, 12);
  for (int b = 0; b < 4; b++) iv[2 + b] ^= head[8 + b];
  for (int b = 0; b < 6; b++) iv[6 + b] ^= index >> (40 - 8 * b);
  init(viewer->cipher, NULL, NULL, NULL, iv);
  update(viewer->cipher, NULL, &written, at, header);
  update(viewer->cipher, at + header, &written, source, length);
  final(viewer->cipher, at + header + length, &written);
  ctrl(viewer->cipher, get_tag, tag, at + header + length);
  return header + length + tag;
}

static void prepare(void) {
  for (int i = 0; i < max_segments; i++) memset(payloads[i], i + 65, payload);
  for (int i = 0; i < batch; i++) {
    struct msghdr *message = &messages[i].msg_hdr;
    message->msg_namelen = sizeof(struct sockaddr_in);
    message->msg_iov = &vectors[i];
    message->msg_iovlen = 1;
    message->msg_control = controls[i].bytes;
    vectors[i].iov_base = slab[i];
    // The header is read by CMSG_FIRSTHDR only where there is room for it.
    message->msg_controllen = sizeof controls[i].bytes;
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  }
}

static int waiting;

static void flush(int fd) {
  for (int sent = 0; sent < waiting;) {
    int done = sendmmsg(fd, messages + sent, waiting - sent, 0);
    sent += done > 0 ? done : 1;
  }
  waiting = 0;
}

// Packets of one size and a shorter last one travel as one message.
static void queue(int fd, struct viewer *viewer, const struct event *event) {
  for (int i = 0; i < event->packets;) {
    if (waiting == batch) flush(fd);
    int m = waiting++, from = i, first = event->sizes[i], length = 0, previous = first;
    while (i < event->packets && i - from < max_segments && previous == first && event->sizes[i] <= first &&
           length + first + header + tag <= max_train) {
      previous = event->sizes[i++];
      length += protect(viewer, slab[m] + length, payloads[(i - 1) % max_segments], previous);
    }
    vectors[m].iov_len = length;
    messages[m].msg_hdr.msg_name = &viewer->address;
    messages[m].msg_hdr.msg_controllen = i - from > 1 ? sizeof controls[m].bytes : 0;
    *(uint16_t *)(controls[m].bytes + CMSG_LEN(0)) = first + header + tag;
    sent_bytes += length;
  }
}

static void send_all(int fd, struct viewer *viewers, int count, const struct event *event) {
  for (int i = 0; i < count; i++) queue(fd, &viewers[i], event);
  flush(fd);
}

static long now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static long paced(int fd, struct viewer *viewers, int count, struct event *events, int known, long for_us) {
  long begin = now_us(), packets_sent = 0, turn_us = events[known - 1].at_us;
  for (long turn = 0;; turn++) {
    for (int e = 0; e < known - 1; e++) {
      long due = begin + turn * turn_us + events[e].at_us;
      if (due - begin >= for_us) return packets_sent;
      struct timespec until = {due / 1000000, due % 1000000 * 1000};
      while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) continue;
      send_all(fd, viewers, count, &events[e]);
      packets_sent += (long)count * events[e].packets;
    }
  }
}

static void read_event(struct event *event) {
  if (scanf("%ld %d", &event->at_us, &event->packets) != 2 || event->packets > max_packets) exit(2);
  event->sizes = malloc(event->packets * sizeof *event->sizes + 1);
  for (int i = 0; i < event->packets; i++)
    if (scanf("%hu", &event->sizes[i]) != 1 || event->sizes[i] > payload) exit(2);
}

static void read_hex(const char *text, uint8_t *out, int length) {
  for (int i = 0; i < length; i++) sscanf(text + 2 * i, "%2hhx", &out[i]);
}

int main(int argc, char **argv) {
  if (argc < 3 || !load()) return 2;
  read_hex(argv[1], key, sizeof key);
  read_hex(argv[2], salt, sizeof salt);
  struct viewer *viewers = NULL;
  static struct event events[max_events];
  uint16_t sizes[packets];
  for (int i = 0; i < packets; i++) sizes[i] = i == packets - 1 ? last : payload;
  const struct event whole = {0, packets, sizes};
  int count = 0, known = 0, port;
  unsigned address;
  while (scanf("%u %d", &address, &port) == 2 && port > 0) {
    viewers = realloc(viewers, (count + 1) * sizeof *viewers);
    struct viewer *viewer = &viewers[count++];
    viewer->cipher = ctx_new();
    viewer->index = 60000;
    viewer->address = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
    init(viewer->cipher, aes_128_gcm(), NULL, key, NULL);
  }
  prepare();
  int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  char command;
  while (scanf(" %c", &command) == 1) {
    long milliseconds, frames = 0, paced_packets = 0;
    if (command == 'E') {
      if (known == max_events) return 2;
      read_event(&events[known++]);
      continue;
    }
    if (scanf("%ld", &milliseconds) != 1) return 2;
    double start = cpu_us();
    sent_bytes = 0;
    if (command == 'P') paced_packets = paced(fd, viewers, count, events, known, milliseconds * 1000);
    else
      do {
        send_all(fd, viewers, count, &whole);
        frames++;
      } while (cpu_us() - start < milliseconds * 1e3);
    printf("%ld %f %ld\n", frames * count * packets + paced_packets, cpu_us() - start, sent_bytes);
    fflush(stdout);
  }
  return 0;
}
