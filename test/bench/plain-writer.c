// What the kernel alone takes for the writes of ovt-fan-out.ts: accepts COUNT connections, then reads "milliseconds bytes"
// lines from standard input, makes each of these writes to every connection when it is due, and prints CPU seconds and bytes.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double cpu_seconds(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 0;
  int *sockets = calloc(count, sizeof(int));
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, length);
  listen(listener, count);
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  int on = 1;
  for (int i = 0; i < count; i++) {
    sockets[i] = accept(listener, NULL, NULL);
    setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  static char bytes[1 << 20];
  long due, size, writes = 0;
  static long plan[100000][2];
  while (writes < 100000 && scanf("%ld %ld", &due, &size) == 2 && size <= (long)sizeof bytes) {
    plan[writes][0] = due;
    plan[writes++][1] = size;
  }
  double before = cpu_seconds();
  long long sent = 0;
  struct timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (long k = 0; k < writes; k++) {
    struct timespec at = start;
    at.tv_sec += plan[k][0] / 1000;
    at.tv_nsec += plan[k][0] % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    for (int i = 0; i < count; i++) {
      ssize_t taken = send(sockets[i], bytes, plan[k][1], MSG_NOSIGNAL);
      if (taken > 0) sent += taken;
    }
  }
  printf("%.6f %lld\n", cpu_seconds() - before, sent);
  return 0;
}
