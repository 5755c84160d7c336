// What webrtc-fan-out.ts measures, in plain C: header rewrite, AES-GCM by libcrypto, one segmented message a viewer, many
// viewers a system call. Arguments: session key and salt in hexadecimal. Reads UDP ports of 127.0.0.1 from standard input,
// one a line, up to a 0. Every further line makes it send one frame to all, again and again for that many CPU milliseconds
// (0: once); it answers with the packets it sent and the microseconds of CPU it took.
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

static uint8_t key[16], salt[12];
static uint8_t frame[packets][payload];
static uint8_t slab[batch][packets * (header + payload + tag)];
static struct mmsghdr messages[batch];
static struct iovec vectors[batch];
static union {
  char bytes[CMSG_SPACE(sizeof(uint16_t))];
  struct cmsghdr align;
} controls[batch];

static int protect(struct viewer *viewer, uint8_t *out) {
  uint8_t *at = out;
  for (int i = 0; i < packets; i++) {
    int length = i == packets - 1 ? last : payload, written;
    uint64_t index = viewer->index++;
    uint8_t head[header] = {0x80, 98, index >> 8, index, 0, 1, 0x5f, 0x90, 0, 0, 0x12, 0x34};
    memcpy(at, head, header);
    uint8_t iv[12];
    memcpy(iv, salt, 12);
    for (int b = 0; b < 4; b++) iv[2 + b] ^= head[8 + b];
    for (int b = 0; b < 6; b++) iv[6 + b] ^= index >> (40 - 8 * b);
    init(viewer->cipher, NULL, NULL, NULL, iv);
    update(viewer->cipher, NULL, &written, at, header);
    update(viewer->cipher, at + header, &written, frame[i], length);
    final(viewer->cipher, at + header + length, &written);
    ctrl(viewer->cipher, get_tag, tag, at + header + length);
    at += header + length + tag;
  }
  return at - out;
}

static void prepare(void) {
  for (int i = 0; i < packets; i++) memset(frame[i], i + 65, payload);
  for (int i = 0; i < batch; i++) {
    struct msghdr *message = &messages[i].msg_hdr;
    message->msg_namelen = sizeof(struct sockaddr_in);
    message->msg_iov = &vectors[i];
    message->msg_iovlen = 1;
    message->msg_control = controls[i].bytes;
    message->msg_controllen = sizeof controls[i].bytes;
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    *(uint16_t *)CMSG_DATA(control) = header + payload + tag;
  }
}

static void send_all(int fd, struct viewer *viewers, int count) {
  for (int from = 0; from < count; from += batch) {
    int here = count - from < batch ? count - from : batch;
    for (int i = 0; i < here; i++) {
      vectors[i].iov_base = slab[i];
      vectors[i].iov_len = protect(&viewers[from + i], slab[i]);
      messages[i].msg_hdr.msg_name = &viewers[from + i].address;
    }
    for (int sent = 0; sent < here;) {
      int done = sendmmsg(fd, messages + sent, here - sent, 0);
      sent += done > 0 ? done : 1;
    }
  }
}

static void read_hex(const char *text, uint8_t *out, int length) {
  for (int i = 0; i < length; i++) sscanf(text + 2 * i, "%2hhx", &out[i]);
}

int main(int argc, char **argv) {
  if (argc < 3 || !load()) return 2;
  read_hex(argv[1], key, sizeof key);
  read_hex(argv[2], salt, sizeof salt);
  struct viewer *viewers = NULL;
  int count = 0, port;
  while (scanf("%d", &port) == 1 && port > 0) {
    viewers = realloc(viewers, (count + 1) * sizeof *viewers);
    struct viewer *viewer = &viewers[count++];
    viewer->cipher = ctx_new();
    viewer->index = 60000;
    viewer->address = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    init(viewer->cipher, aes_128_gcm(), NULL, key, NULL);
  }
  prepare();
  int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  int milliseconds;
  while (scanf("%d", &milliseconds) == 1) {
    double start = cpu_us();
    long frames = 0;
    do {
      send_all(fd, viewers, count);
      frames++;
    } while (cpu_us() - start < milliseconds * 1e3);
    printf("%ld %f\n", frames * count * packets, cpu_us() - start);
    fflush(stdout);
  }
  return 0;
}
