// The floor of process-per-case running: `spawn_loop JOBS FILE` starts each line of FILE (words between single spaces)
// with posix_spawn and nothing else, JOBS at once, output to /dev/null.

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

extern char** environ;

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: spawn_loop JOBS FILE\n");
    return 2;
  }
  std::vector<std::vector<std::string>> commands;
  std::ifstream file(argv[2]);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    commands.emplace_back();
    for (std::string word; words >> word;) commands.back().push_back(word);
  }
  const size_t jobs = std::strtoul(argv[1], nullptr, 10);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  for (size_t started = 0, ended = 0; ended < commands.size();) {
    for (; started < commands.size() && started - ended < jobs; ++started) {
      std::vector<char*> words;
      for (std::string& word : commands[started]) words.push_back(word.data());
      words.push_back(nullptr);
      pid_t child;
      if (posix_spawn(&child, words[0], &actions, nullptr, words.data(), environ) != 0) return 1;
    }
    int status;
    if (waitpid(-1, &status, 0) < 0 || status != 0) return 1;
    ++ended;
  }
}
