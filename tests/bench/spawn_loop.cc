// The floor of process-per-case running: `spawn_loop N JOBS COMMAND...` runs COMMAND N times, JOBS at once, with
// posix_spawn and nothing else, its output to /dev/null.

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>

extern char** environ;

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: spawn_loop N JOBS COMMAND...\n");
    return 2;
  }
  const int total = std::atoi(argv[1]), jobs = std::atoi(argv[2]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  for (int started = 0, ended = 0; ended < total;) {
    for (; started < total && started - ended < jobs; ++started) {
      pid_t child;
      if (posix_spawn(&child, argv[3], &actions, nullptr, argv + 3, environ) != 0) return 1;
    }
    if (waitpid(-1, nullptr, 0) < 0) return 1;
    ++ended;
  }
}
