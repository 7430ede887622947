// What the coordinator knows of the test frameworks: how a program shows which it is of, and what that means for it.
// The rows are in dtest/frameworks.def. The coordinator knows nothing else of any framework; the rest is the agent's.
//
// Static storage, any thread.

#ifndef DTEST_COORDINATOR_BUNDLE_FRAMEWORK_TABLE_H_
#define DTEST_COORDINATOR_BUNDLE_FRAMEWORK_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "coordinator/bundle/ctest_folding.h"

namespace dtest {

// Views are of static storage. Evidence that is empty shows nothing.
struct FrameworkRow {
  absl::string_view name;
  // False: a unit is one case, named like it, and nobody lists it.
  bool lists = true;
  // A unit without a case is no mistake: its agent has made sure of that. Else it fails the run.
  bool may_be_empty = false;
  // Part of the name of a symbol, dynamic or not, that a program has if its main loop is this framework's.
  absl::string_view symbol = {};
  // Part of the name of any dynamic symbol of the framework: a program with such a one, or that itself needs the
  // library that has `symbol`, is of this framework. Without it only programs that have `symbol` are.
  absl::string_view uses = {};
  // What the framework has among its constants (.rodata), where symbols are stripped: `text_before` and `text`, one
  // after the other.
  absl::string_view text_before = {};
  absl::string_view text = {};
  // Whether it is certain that a process of the program prints all there is to know (UnitSpec::prints_all). Null: it
  // never is. Reads the file.
  bool (*prints_all)(const std::string& path) = nullptr;
  // How a test of CTest asks a program for one case (ctest_folding.h). Null: such a test is a unit of its own.
  bool (*asked_case)(const std::vector<std::string>& arguments, const Judging& judging, AskedCase* asked) = nullptr;
};

absl::Span<const FrameworkRow> Frameworks();

// The row of that name; that of kPlainFramework if there is none.
const FrameworkRow& FrameworkNamed(absl::string_view name);

// Some of them: bit i is Frameworks()[i].
class FrameworkSet {
 public:
  void Add(size_t row) { bits_ |= uint32_t{1} << row; }
  void Add(FrameworkSet other) { bits_ |= other.bits_; }
  bool empty() const { return bits_ == 0; }
  bool Has(size_t row) const { return (bits_ >> row & 1) != 0; }
  bool Has(absl::string_view name) const;
  // The name of the first; kPlainFramework if it is empty.
  std::string First() const;
  friend FrameworkSet operator&(FrameworkSet a, FrameworkSet b) {
    a.bits_ &= b.bits_;
    return a;
  }

 private:
  uint32_t bits_ = 0;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_FRAMEWORK_TABLE_H_
