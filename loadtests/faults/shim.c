/* Loaded into a process before libc: its writes, syncs and clock go wrong as the mapped file orders.
 * The file's layout is `Orders` of shim.py. Writes and syncs are touched below one folder only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct orders {
  int64_t clock_ahead_s;
  int64_t clock_frozen_s;
  int32_t write_errno;
  int32_t write_bytes_max;
  int32_t sync_errno;
  int32_t sync_ms;
  char folder[480];
};

static volatile struct orders *orders;

__attribute__((constructor)) static void map_orders(void) {
  const char *path = getenv("JUMELLE_FAULTS");
  int file = path ? open(path, O_RDONLY) : -1;
  if (file < 0) return;
  void *found = mmap(NULL, sizeof(struct orders), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (found != MAP_FAILED) orders = found;
}

static int is_below_folder(int file) {
  char link[64], path[1024], folder[sizeof orders->folder];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  memcpy(folder, (const void *)orders->folder, sizeof folder);
  return strncmp(path, folder, strlen(folder)) == 0;
}

ssize_t write(int file, const void *bytes, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "write");
  if (orders && (orders->write_errno || orders->write_bytes_max) && is_below_folder(file)) {
    if (orders->write_errno) {
      errno = orders->write_errno;
      return -1;
    }
    if (size > (size_t)orders->write_bytes_max) size = orders->write_bytes_max;
  }
  return real(file, bytes, size);
}

static int synced(int file, int (*real)(int)) {
  if (orders && (orders->sync_errno || orders->sync_ms) && is_below_folder(file)) {
    if (orders->sync_ms) usleep(orders->sync_ms * 1000);
    if (orders->sync_errno) {
      errno = orders->sync_errno;
      return -1;
    }
  }
  return real(file);
}

int fsync(int file) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  return synced(file, real);
}

int fdatasync(int file) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
  return synced(file, real);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(clock, now);
  if (!failed && orders && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    if (orders->clock_frozen_s) {
      now->tv_sec = orders->clock_frozen_s;
      now->tv_nsec = 0;
    }
    now->tv_sec += orders->clock_ahead_s;
  }
  return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
  (void)zone;
  struct timespec found;
  if (clock_gettime(CLOCK_REALTIME, &found)) return -1;
  now->tv_sec = found.tv_sec;
  now->tv_usec = found.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec found;
  clock_gettime(CLOCK_REALTIME, &found);
  if (now) *now = found.tv_sec;
  return found.tv_sec;
}
