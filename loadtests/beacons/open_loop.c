/* Sends one request at a constant rate over keep-alive connections and tells how late each answer
 * was, counted from the moment at which its request was due (so a server that stalls is charged
 * for all that waited). Spins on its own core; a request takes any free connection.
 *
 * usage: open_loop PORT CONNECTIONS RATE SECONDS SEED STATUS FILE
 * FILE is the request, in which each run of 30 '@' is replaced by a number of its own.
 * Prints one line of JSON; exits 1 when an answer is missing or has another status.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MARK = 30, CONNECTIONS_MAX = 1024, ANSWER_MAX = 8192, GIVE_UP_S = 10 };

typedef struct {
  int socket;
  long request; /* the one that waits for its answer */
  size_t filled;
  char answer[ANSWER_MAX + 1];
} Connection;

static Connection connections[CONNECTIONS_MAX];
static int free_ones[CONNECTIONS_MAX], free_count;
static char *text;
static size_t text_size, mark_at;
static unsigned long long seed;
static int64_t begin_ns;
static double interval_ns;
static float *waited_us, *held_us;
static int status_expected;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "open_loop: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void read_request(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  fseek(file, 0, SEEK_END);
  text_size = (size_t)ftell(file);
  rewind(file);
  text = calloc(text_size + 1, 1);
  if (fread(text, 1, text_size, file) != text_size) fail(path);
  fclose(file);
  char marks[MARK + 1];
  memset(marks, '@', MARK);
  marks[MARK] = 0;
  char *found = strstr(text, marks);
  if (!found) {
    fprintf(stderr, "open_loop: the request has no mark\n");
    exit(2);
  };
  mark_at = (size_t)(found - text);
}

static void open_connection(int index, int port, int epoll) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int line = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (line < 0 || connect(line, (struct sockaddr *)&to, sizeof to)) fail("connect");
  setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(line, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, line, &event)) fail("epoll_ctl");
  connections[index].socket = line;
  free_ones[free_count++] = index;
}

static int64_t due_ns(long request) { return begin_ns + (int64_t)(request * interval_ns); }

static void send_request(long request, int64_t now) {
  Connection *on = &connections[free_ones[--free_count]];
  char number[40];
  snprintf(number, sizeof number, "%018llx%012lx", seed, (unsigned long)request);
  memcpy(text + mark_at, number, MARK);
  if (send(on->socket, text, text_size, MSG_NOSIGNAL) != (ssize_t)text_size) fail("send");
  on->request = request;
  on->filled = 0;
  held_us[request] = (float)(now - due_ns(request)) / 1000;
}

/* 1 when the answer is whole. */
static int is_whole(Connection *on) {
  on->answer[on->filled] = 0;
  char *end = strstr(on->answer, "\r\n\r\n");
  if (!end) return 0;
  if (atoi(on->answer + 9) != status_expected) {
    fprintf(stderr, "open_loop: answered %.12s instead of %d\n", on->answer, status_expected);
    exit(1);
  }
  if (status_expected == 204) return 1;
  char *length = strcasestr(on->answer, "\r\ncontent-length:");
  return length && on->filled >= (size_t)(end + 4 - on->answer) + (size_t)atol(length + 17);
}

static int read_answer(int index) {
  Connection *on = &connections[index];
  ssize_t got = recv(on->socket, on->answer + on->filled, ANSWER_MAX - on->filled, 0);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got <= 0) fail("a connection was closed");
  on->filled += (size_t)got;
  if (!is_whole(on)) return 0;
  waited_us[on->request] = (float)(now_ns() - due_ns(on->request)) / 1000;
  free_ones[free_count++] = index;
  return 1;
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double at(float *sorted, long count, double share) {
  return sorted[(long)((double)(count - 1) * share)];
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "usage: open_loop PORT CONNECTIONS RATE SECONDS SEED STATUS FILE\n");
    return 2;
  }
  int port = atoi(argv[1]), count = atoi(argv[2]);
  double rate = atof(argv[3]), seconds = atof(argv[4]);
  seed = strtoull(argv[5], NULL, 10);
  status_expected = atoi(argv[6]);
  read_request(argv[7]);
  long total = (long)(rate * seconds), sent = 0, answered = 0;
  if (count < 1 || count > CONNECTIONS_MAX || total < 1) {
    fprintf(stderr, "open_loop: from 1 to %d connections, at least 1 request\n", CONNECTIONS_MAX);
    return 2;
  }
  waited_us = calloc((size_t)total, sizeof *waited_us);
  held_us = calloc((size_t)total, sizeof *held_us);
  interval_ns = 1e9 / rate;
  int epoll = epoll_create1(0);
  for (int index = 0; index < count; index++) open_connection(index, port, epoll);
  begin_ns = now_ns() + 1000000;
  int64_t give_up = begin_ns + (int64_t)((seconds + GIVE_UP_S) * 1e9);
  struct epoll_event events[CONNECTIONS_MAX];
  while (answered < total) {
    int64_t now = now_ns();
    if (now > give_up) {
      fprintf(stderr, "open_loop: %ld of %ld were answered\n", answered, total);
      return 1;
    }
    while (sent < total && free_count && due_ns(sent) <= now) {
      send_request(sent++, now);
      now = now_ns();
    }
    int ready = epoll_wait(epoll, events, CONNECTIONS_MAX, 0);
    for (int k = 0; k < ready; k++) answered += read_answer((int)events[k].data.u32);
  }
  double took = (double)(now_ns() - begin_ns) / 1e9;
  qsort(waited_us, (size_t)total, sizeof *waited_us, by_size);
  qsort(held_us, (size_t)total, sizeof *held_us, by_size);
  printf("{\"requests\":%ld,\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"most_us\":%.1f,"
         "\"held_p50_us\":%.1f,\"held_p99_us\":%.1f}\n",
         total, took, at(waited_us, total, 0.5), at(waited_us, total, 0.99),
         at(waited_us, total, 1), at(held_us, total, 0.5), at(held_us, total, 0.99));
  return 0;
}
