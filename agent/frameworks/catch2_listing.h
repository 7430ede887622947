// What a Catch2 program says when it is asked to list its tests. Pure.
//
// InvalidArgument: it is cut short, is not of that form, contradicts itself or names two tests alike, and where.
// FailedPrecondition: it ran its tests.

#ifndef DTEST_AGENT_FRAMEWORKS_CATCH2_LISTING_H_
#define DTEST_AGENT_FRAMEWORKS_CATCH2_LISTING_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/case_info.h"

namespace dtest {

// Version 3: the file of --list-tests --reporter xml. `output`: what it printed, for the reason where there is no file.
absl::StatusOr<CaseInfos> ParseCatch2Xml(absl::string_view xml, absl::string_view output);

// Version 2: two lists one after the other. The first is broken into lines at blanks, which are lost; the second has
// neither tags nor an end.
//
//   Matching test cases:
//     adds two numbers
//       math_test.cc:12
//       (NO DESCRIPTION)
//         [.][slow]
//   1 matching test case
//
//   adds two numbers<tab>@math_test.cc:12
absl::StatusOr<CaseInfos> ParseCatch2Text(absl::string_view text);

// Catch2's XML has bytes that are no text in XML as \xE9.
std::string DecodeCatch2Escapes(absl::string_view text);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_CATCH2_LISTING_H_
