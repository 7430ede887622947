// What a GoogleTest program says when it is asked to list its tests. Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_GOOGLETEST_LISTING_H_
#define DTEST_AGENT_FRAMEWORKS_GOOGLETEST_LISTING_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/case_info.h"

namespace dtest {

// The file of --gtest_output=json, as releases since 1.8.1 write it. InvalidArgument: it is cut short, is not of that
// form or contradicts itself, and where, or two tests have one name. FailedPrecondition: it is the report of a run.
//
// Not a library's parser, because this is not quite JSON: what is no ASCII letter stands there byte by byte as it is,
// or as \u00XX with the byte's value (where char is signed), whatever the encoding. Names have to come back to the
// byte, or no filter selects them.
absl::StatusOr<CaseInfos> ParseGoogleTestJson(absl::string_view json);

// How many tests the program has that such a file does not list, since a filter of its own leaves them out. 0, too, of
// a file that ParseGoogleTestJson refuses.
uint64_t GoogleTestsLeftOut(absl::string_view json);

// What it prints, where there is no such file. Types and values of parameters are cut to 250 characters there, files
// and lines are missing. InvalidArgument: a line that is neither a suite's nor a case's, nor gtest_main's own, or two
// tests of one name. FailedPrecondition: it ran its tests.
//
//   Suite.                               Suite/0.  # TypeParam = int
//     Case                                 Case/0  # GetParam() = 7
absl::StatusOr<CaseInfos> ParseGoogleTestText(absl::string_view text);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_GOOGLETEST_LISTING_H_
