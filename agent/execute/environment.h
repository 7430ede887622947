// The environment of a test process under construction. A value; one thread.

#ifndef DTEST_AGENT_EXECUTE_ENVIRONMENT_H_
#define DTEST_AGENT_EXECUTE_ENVIRONMENT_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace dtest {

class Environment {
 public:
  // Nothing in it.
  Environment() = default;
  // From "NAME=value" strings, null-terminated as `environ`; entries without '=' are left out.
  explicit Environment(const char* const* variables);

  void Set(absl::string_view name, absl::string_view value);
  void Unset(absl::string_view name);
  // Empty if it is not set.
  std::string Get(absl::string_view name) const;
  // Puts directories before those of a ':'-separated list.
  void Prepend(absl::string_view name, const std::vector<std::string>& directories);
  // "NAME=value", ordered by name.
  std::vector<std::string> ToStrings() const;

 private:
  std::map<std::string, std::string> variables_;
};

// PATH where it is not set.
inline constexpr char kUsualSearchPath[] = "/usr/local/bin:/usr/bin:/bin";
// The first executable of that name in the directories of a PATH. Empty: there is none.
std::string FindProgram(absl::string_view name, absl::string_view search_path);

}  // namespace dtest

#endif  // DTEST_AGENT_EXECUTE_ENVIRONMENT_H_
