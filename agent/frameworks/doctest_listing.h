// What a doctest program says when it is asked to list its tests: --list-test-cases --reporters=xml. Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_DOCTEST_LISTING_H_
#define DTEST_AGENT_FRAMEWORKS_DOCTEST_LISTING_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/case_info.h"

namespace dtest {

// The label of a test that does not run unless skipped ones are asked for.
inline constexpr absl::string_view kDoctestSkip = "skip";

// `xml` is the file of --out, with skipped tests; `output`: what it printed, for the reason where there is no file.
//
//   <doctest binary="./p" version="2.4.9">
//     <Options order_by="file" .../>
//     <TestCase name="adds" testsuite="math" filename="p.cc" line="6" skipped="false"/>
//     <OverallResultsTestCases unskipped="1"/>
//   </doctest>
//
// InvalidArgument: it is cut short, is not of that form, contradicts itself or has two tests that nothing tells apart,
// and where. FailedPrecondition: it ran its tests, or is of a release that does not list which are skipped.
absl::StatusOr<CaseInfos> ParseDoctestXml(absl::string_view xml, absl::string_view output);

// The name in the program. Several tests may have one there: of such, a case's name has behind it the suite,
// "adds [math]", or, where that is not enough or there is no name, the place: "adds (p.cc:6)". A view into the name.
absl::string_view DoctestName(const CaseInfo& info);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_DOCTEST_LISTING_H_
