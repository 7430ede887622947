// What a command shows under --json: one object on standard output, written in pieces as it grows, so that a long
// one is never in memory as a whole. docs/json.md specifies it. Values look as in the event log (report/json_append.h).
//
//   {"version":1,"command":"list","cases":[...],"errors":[...],"status":0}
//
// One thread.

#ifndef DTEST_COORDINATOR_CLI_JSON_DOCUMENT_H_
#define DTEST_COORDINATOR_CLI_JSON_DOCUMENT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace dtest {

inline constexpr int kJsonVersion = 1;

class JsonDocument {
 public:
  explicit JsonDocument(absl::string_view command);

  // Where the next field of the object is appended.
  std::string* fields() { return &text_; }
  // From here to EndList the value of this field: elements.
  void BeginList(absl::string_view key);
  // Where the next element is to be appended, whole, before the next call.
  std::string* Element();
  void EndList();

  // What went wrong. Empty names are left out.
  struct Error {
    std::string message;
    std::string executable;
    std::string host;
    std::string output;
  };
  // Ends the document with the errors and the status that the command exits with; writes what is left of it. Returns
  // that, or kExitBroken, explained, if not all of it could be written.
  int End(const std::vector<Error>& errors, int exit_status);

 private:
  void WriteIfLong();

  std::string text_;  // not written yet
  bool first_ = true;
  int error_ = 0;  // errno of the write that failed first
};

// A whole document of a command that came to nothing: with this one error, and as many empty lists.
int EndWithError(absl::string_view command, const std::vector<absl::string_view>& lists, absl::string_view message,
                 int exit_status);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_CLI_JSON_DOCUMENT_H_
