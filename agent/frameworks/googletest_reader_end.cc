// What a GoogleTest process said, as a whole: judged as it ends, by its status and its report.

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/frameworks/googletest_reader.h"
#include "agent/frameworks/googletest_xml.h"
#include "agent/frameworks/shown_name.h"

namespace dtest {
namespace {

// Of a process whose filter says what to leave out (BatchRequest::unlisted_too).
constexpr absl::string_view kOwnFilter =
    " (or its main() changes --gtest_filter: if it adds to it, -k '*' has only what is listed run; if it puts another "
    "in "
    "its place, it must not where it is given one)";

}  // namespace

void GoogleTestReader::Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) {
  if (!partial_.empty()) {
    Line(partial_, sink);
    partial_.clear();
  }
  if (ended_.has_value()) {
    // It ended between a test and the end of its suite: in TearDownTestSuite, and what that printed is of the end.
    end->torn_down = Done(wanted_.suite(running_));
    Capture torn_down(request_.output_cap);
    std::swap(torn_down, output_);
    Complete(sink);
    std::swap(torn_down, output_);
  }
  // GoogleTest removes this file when it is done: exit(0) in a global tear-down leaves it.
  end->premature = end->signal == 0 && !files[0].empty();
  end->in_suite = in_suite_;
  for (size_t i = 0; i < wanted_.size() && in_suite_; ++i) {
    if (!wanted_.done(i) && wanted_.suite(i) == set_up_suite_) end->setting_up.push_back(wanted_.index(i));
  }
  if (any_began_ && running_ == kNone) EndStretch(false);
  if (files.size() > 1) ReadReport(files[1], end, sink);
  if (failed_beside_tests_ && !suite_failed_) ProgramFailed("the closing list says that the program failed");
  const bool clean = end->signal == 0 && end->exit_code == 0 && !end->premature;
  end->listing_wrong = ListingFault(*end);
  // What a case that nobody listed printed is no suspicion of the others.
  const bool borne_out = !clean && end->listing_wrong.empty();
  for (auto& [position, suspicion] : suspicions_) {
    if (!borne_out && !suspicion.certain) continue;
    end->corrections.push_back({wanted_.index(position), std::move(suspicion.message)});
  }
  if (!global_set_up_.empty() && (borne_out || global_set_up_certain_)) {
    for (const uint32_t index : Done("")) {
      end->corrections.push_back({index, absl::StrCat("in global set-up:\n", global_set_up_)});
    }
  }
  for (TearDown& failed : tear_downs_) {
    if (failed.failure.cases.empty()) continue;  // the process' end tells of those that did not run
    if (borne_out || failed.certain) end->outside.push_back(std::move(failed.failure));
  }
  if (end->signal == 0 && end->exit_code == 0 && !end->premature) SkipAllIfSetUpDid(sink);
  end->warning = std::exchange(warning_, std::string());
  // Of a process that ended well only: a warning of any other is a sanitizer's.
  if (clean && end->listing_wrong.empty() && end->warning.empty()) end->warning = unchecked_;
  end->output_cut = output_.cut();
  end->output = absl::StrCat(before_first_, output_.Take());
}

std::string GoogleTestReader::ListingFault(const ProcessEnd& end) const {
  const bool finished = end.signal == 0 && !end.premature;
  if (!finished) {
    if (open_stranger_.empty() || running_ != kNone) return "";
    return absl::StrCat("it died in ", open_stranger_, ", which it did not list",
                        request_.unlisted_too ? kOwnFilter : "");
  }
  if (running_ != kNone) return "";
  if (const size_t missing = wanted_.Missing(); missing != kNone) {
    const bool fewer = announced_.has_value() && *announced_ < wanted_.size();
    if (stranger_.empty() && !fewer && !missing_reported_) return "";
    return absl::StrCat("its names differ from one process to the next: it listed ", ShownName(wanted_.name(missing)),
                        ", and a later process does not know that name",
                        stranger_.empty() ? "" : absl::StrCat(", but runs ", ShownName(stranger_)));
  }
  const bool more = announced_.has_value() && *announced_ > wanted_.size() && any_began_;
  if (stranger_.empty() || !(more || stranger_reported_)) return "";
  const size_t ran = more ? *announced_ : wanted_.size() + 1;
  const bool all = wanted_.whole_listing();
  return absl::StrCat(all ? "it listed " : "it was asked for ", wanted_.size(), " and runs ", ran, ": ", stranger_,
                      " is not in its listing", request_.unlisted_too && !all ? kOwnFilter : "");
}

void GoogleTestReader::ReadReport(absl::string_view xml, ProcessEnd* end, CaseSink* sink) {
  const bool all_done = wanted_.all_done();
  const bool outside = absl::StrContains(xml, "\"NonTestSuiteFailure\"");  // global set-up or tear-down
  const bool failed = end->signal != 0 || end->exit_code != 0;
  if (all_done && !outside && !failed && !HasGoogleTestProperties(xml)) return;
  std::vector<uint8_t> found(wanted_.size(), 0);
  for (GoogleTestXmlCase& test : ParseGoogleTestXml(xml)) {
    if (test.name == "." && test.outcome == Outcome::kFailed) {
      ProgramFailed(test.message);
    }
    const size_t position = Find(test.name);
    if (position == kNone) {
      if (test.ran && test.name != "." && !IsListed(test.name)) {
        if (stranger_.empty()) stranger_ = test.name;
        stranger_reported_ = true;
      }
      continue;
    }
    const uint32_t index = wanted_.index(position);
    found[position] = 1;
    for (auto& [key, value] : test.properties) end->properties.push_back({index, key, value});
    if (wanted_.done(position) && failed_[position] == 0 && test.outcome == Outcome::kFailed) {
      Suspect(position, absl::StrCat(test.name, " was reported as ended well, but failed: ", test.message), true);
    }
    // The report is whole, so the process got to its end: a program with a printer of its own.
    if (wanted_.done(position) || !test.ran || end->signal != 0) continue;
    if (running_ != position) sink->Began(index);
    if (running_ == position) running_ = kNone;
    wanted_.SetDone(position);
    CaseResult result;
    result.index = index;
    result.outcome = test.outcome;
    result.message = std::move(test.message);
    result.duration = test.duration;
    sink->Finished(std::move(result), Standing::kReport);
  }
  if (!absl::StrContains(xml, "</testsuites>")) return;
  for (size_t i = 0; i < wanted_.size(); ++i) missing_reported_ |= !wanted_.done(i) && !found[i];
}

void GoogleTestReader::ProgramFailed(absl::string_view message) {
  bool known = global_set_up_certain_ = !global_set_up_.empty();
  for (TearDown& failed : tear_downs_) {
    if (failed.suite.empty()) known = failed.certain = true;
  }
  if (!known) SuspectTearDown("", absl::StrCat("in global set-up or tear-down: ", message), true);
}

// GTEST_SKIP in a global set-up: nothing runs, and that is a success.
void GoogleTestReader::SkipAllIfSetUpDid(CaseSink* sink) {
  if (any_began_ || message_kind_ != Message::kSkip) return;
  const std::string message = TakeMessage();
  for (size_t i = 0; i < wanted_.size(); ++i) {
    if (wanted_.done(i)) continue;
    wanted_.SetDone(i);
    sink->Began(wanted_.index(i));
    CaseResult result;
    result.index = wanted_.index(i);
    result.outcome = Outcome::kSkipped;
    result.message = message;
    sink->Finished(std::move(result), Standing::kTold);
  }
}

}  // namespace dtest
