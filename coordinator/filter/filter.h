// The language in which cases are chosen: by -k, by [[override]]s, by `dtest history`. docs/filters.md is its manual.
//
// An expression is in one of two forms. The short one is one or more patterns joined by ':' ('::' is part of a name):
//   with '*' or '?'   matches all of SUITE.CASE or of EXECUTABLE.SUITE.CASE (gtest's glob);
//   starting with '=' is equal to SUITE.CASE, EXECUTABLE.SUITE.CASE, SUITE or EXECUTABLE: all that follows, ':' too;
//   else              is found somewhere in EXECUTABLE.SUITE.CASE.
// What follows a pattern "-..." behind a ':' excludes, as in GoogleTest's filters ("Net*:-*Slow*").
// The long one has at least one predicate NAME(...), joined by '|', '&', '!' and parentheses:
//   suite(Net*) & !name(/Slow$/) | label(slow)
// '&' binds tighter than '|'. Patterns as above may stand among predicates, in double quotes where they hold blanks or
// operators.
//
// EXECUTABLE is the unit's name (a path) or its base name; a pattern that is to be found somewhere is looked for in the
// path only if it has a '/'.
//
// A value; const methods from any thread.

#ifndef DTEST_COORDINATOR_FILTER_FILTER_H_
#define DTEST_COORDINATOR_FILTER_FILTER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/case_info.h"

namespace dtest {

// What a filter is held against. Views are not kept.
struct FilterSubject {
  absl::string_view unit;
  CaseInfo info;
  // False where only the name is known, as history has it: then any beginning of the name that is followed by a dot is
  // taken for the suite, and no label(), file() or parameter() matches.
  bool has_info = true;
  // What history says: asked for by failed() and new() only.
  bool failed_last = false;
  bool never_ran = false;
};

class Filter {
 public:
  // InvalidArgument: what is wrong and at which character, without naming the option.
  static absl::StatusOr<Filter> Parse(absl::string_view expression);
  // The case of exactly this EXECUTABLE.SUITE.CASE, or EXECUTABLE of a plain one.
  static Filter OfCase(absl::string_view full_name);

  bool Matches(const FilterSubject& subject) const;
  // Whether failed() or new() is asked, so that the subject must have been looked up in the history.
  bool NeedsHistory() const;
  // Whether label(), file() or parameter() is asked, so that more than the name must be known.
  bool NeedsInfo() const;
  // Whether nothing but unit() is asked, so that it is known what it says of the cases of a unit before they are.
  bool NeedsUnitOnly() const;

  struct Node;  // of the tree that the expression is

 private:
  explicit Filter(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;
};

}  // namespace dtest

#endif  // DTEST_COORDINATOR_FILTER_FILTER_H_
