// What a Boost.Test program says when it is asked to list its tests: --list_content=DOT. Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_BOOST_LISTING_H_
#define DTEST_AGENT_FRAMEWORKS_BOOST_LISTING_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/case_info.h"

namespace dtest {

// What dtest has to know of a case's decorators is among its labels, as the decorators are written. No label of the
// program's own is such a one.
inline constexpr absl::string_view kBoostDisabled = "disabled()";
inline constexpr absl::string_view kBoostExpectedFailures = "expected_failures(";  // the number, and ')'
inline constexpr absl::string_view kBoostDependsOn = "depends_on(";                // the full name, and ')'

// `dot` is the file of --report_sink; `output`: what it printed, for the reason where there is no such file.
//
//   digraph G {rankdir=LR;
//   tu1[shape=ellipse,peripheries=2,fontname=Helvetica,color=green,label="the module"];
//   {
//   tu65536[shape=Mrecord,fontname=Helvetica,color=green,label="case|p.cc(4)|timeout=1|expected failures=2|labels:
//   @a"]; tu1 -> tu65536; tu65536 -> tu2[color=red,style=dotted,constraint=false];          it depends on that
//   tu2[shape=Mrecord,fontname=Helvetica,color=yellow,label="suite|p.cc(8)"];      yellow: disabled, and all in it
//   tu1 -> tu2;
//   {
//   }
//   }
//   }
//
// Nothing is escaped there. A case's name is the full one, "suite/case"; labels and dependencies of its suites are its,
// too. Cases that dependencies or the timeout of a suite join are one group. The order is that in which they run.
//
// InvalidArgument: it is cut short, is not of that form, or has what cannot be run by its name, and where.
// FailedPrecondition: it ran its tests. Aborted: what is wrong with the program, written in place of the list.
absl::StatusOr<CaseInfos> ParseBoostDot(absl::string_view dot, absl::string_view output);

// Whether it does not run unless disabled ones are to.
bool IsDisabledBoostTest(const CaseInfo& info);
uint64_t ExpectedBoostFailures(const CaseInfo& info);
// Whether the case of this name is in the suite of that path, or is the case of that path. The module's is empty.
bool IsBoostTestUnder(absl::string_view name, absl::string_view path);
// Whether the case `index` depends on the case `other`, itself or by way of others.
bool BoostDependsOn(const CaseInfos& listing, uint32_t index, uint32_t other);

// Whether a filter may say the name of a case, without its suites, as it is.
bool IsExactBoostFilter(absl::string_view name);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_BOOST_LISTING_H_
