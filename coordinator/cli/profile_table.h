// What pytest takes time for, as its processes wrote it down (agent/pytest/dtest_pytest/apart.py says how), and how
// `dtest profile` shows it. Values; one thread.

#ifndef DTEST_COORDINATOR_CLI_PROFILE_TABLE_H_
#define DTEST_COORDINATOR_CLI_PROFILE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace dtest {

// Of one root. All times but `collection` are of what did it, less what others did meanwhile.
struct RootProfile {
  struct Import {
    std::string module;  // depth 0: not one, but the file or the time in which those below it were imported
    uint32_t depth = 0;
    absl::Duration self, cumulative;  // depth 0: none, and the sum of those below
  };
  struct File {
    std::string name;  // or a directory; ".": the root. One of them is what was before, between and behind all others
    absl::Duration time;
    uint64_t tests = 0;
  };
  struct Fixture {
    std::string name, scope, where;
    absl::Duration time;
    uint64_t made = 0;
  };
  absl::Duration collection;      // of the process that imported and collected apart, from its start to its end
  int collection_status = 0;      // its exit status, or less than zero: a signal's number
  bool finished = false;          // all of it was collected
  std::string at;                 // else: where it was then
  uint64_t imports_left = 0;      // modules that are in no table: what imported them did not come to its end
  uint64_t fixtures_lost = 0;     // fixtures that were made, and could not be written down
  std::vector<Import> imports;    // a module before those that it imported; the heaviest first
  std::vector<File> files;        // as are these
  std::vector<Fixture> fixtures;  // and these
};

class Profile {
 public:
  // Takes the lines of one process's file. Those that cannot be read are counted.
  void Add(absl::string_view lines);
  uint64_t unreadable() const { return unreadable_; }

  // By root. With everything that was added, in its order.
  std::map<std::string, RootProfile> Roots() const;

 private:
  std::map<std::string, RootProfile> roots_;
  std::map<std::string, std::map<std::string, RootProfile::Fixture>> fixtures_;  // by root and what tells them apart
  uint64_t unreadable_ = 0;
};

// Tables of at most `rows` rows each; they say what they leave out.
std::string ProfileText(const RootProfile& profile, size_t rows);
// As an object.
void AppendProfileJson(absl::string_view root, const RootProfile& profile, std::string* out);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_PROFILE_TABLE_H_
