// Speaks an agent's side of the start and then echoes its stream. The run id says how it behaves: "echo", "die" (exits
// before it is ready), "mute" (never says it is ready), "quit" (exits after it was ready), "stubborn" (ignores the end
// of its stdin, as a hung agent would).

#include <unistd.h>

#include <csignal>
#include <iostream>
#include <sstream>
#include <string>

int main() {
  std::string line;
  char c;
  while (read(0, &c, 1) == 1 && c != '\n') line += c;
  std::istringstream fields(line);
  std::string word, version, token, link, run_id, store;
  fields >> word >> version >> token >> link >> run_id >> store;
  std::cerr << "start line: " << word << " " << version << " " << link << " " << run_id << " " << store << std::endl;
  if (run_id == "die") {
    std::cerr << "cannot go on" << std::endl;
    return 3;
  }
  if (run_id != "mute") std::cout << "DTEST-READY 1 " << token << "\n" << std::flush;
  if (run_id == "quit") {
    std::cerr << "leaving at once" << std::endl;
    return 4;
  }
  char buffer[65536];
  ssize_t got;
  while ((got = read(0, buffer, sizeof(buffer))) > 0) {
    for (ssize_t done = 0; done < got;) {
      const ssize_t written = write(1, buffer + done, got - done);
      if (written < 0) return 5;
      done += written;
    }
  }
  if (run_id == "stubborn") {
    std::signal(SIGTERM, SIG_IGN);
    std::cerr << "staying" << std::endl;
    while (true) pause();
  }
}
