#include "agent/frameworks/pytest.h"

#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/frameworks/pytest_reader.h"
#include "agent/frameworks/pytest_records.h"
#include "dtest/labels.h"

namespace dtest {
namespace {

constexpr char kServe[] = "--serve=yes";
constexpr size_t kFieldsOfCase = 7;     // before its locks
constexpr size_t kMostLockSets = 1000;  // each is a policy of its own for the scheduler

// The node id of its class or file: all before the last "::" that is not in a parameter.
absl::string_view SuiteOf(absl::string_view id, absl::string_view parameter) {
  if (!parameter.empty() && id.size() > parameter.size() + 2) id.remove_suffix(parameter.size() + 2);
  const size_t end = id.rfind("::");
  return end == absl::string_view::npos ? absl::string_view() : id.substr(0, end);
}

class Listing {
 public:
  void Add(const PytestRecord& record) {
    size_t locks = 0;
    if (record[0] == "case" && record.size() >= kFieldsOfCase && absl::SimpleAtoi(record[6], &locks) &&
        locks <= record.size() - kFieldsOfCase) {
      CaseInfo info = {.name = record[1],
                       .suite = SuiteOf(record[1], record[4]),
                       .parameter = record[4],
                       .file = record[2],
                       .group = record[5]};
      if (!absl::SimpleAtoi(record[3], &info.line)) info.line = 0;
      info.locks.assign(record.begin() + kFieldsOfCase, record.begin() + kFieldsOfCase + locks);
      for (size_t i = kFieldsOfCase + locks; i < record.size(); ++i) {
        if (!record[i].empty() && record[i].find('\0') == absl::string_view::npos) info.labels.push_back(record[i]);
      }
      if (!info.locks.empty()) lock_sets_.insert(absl::StrJoin(info.locks, absl::string_view("\0", 1)));
      AddCase(info);
    } else if (record[0] == "error" && record.size() == 3) {
      AddCase({.name = record[1], .file = record[1], .labels = {kUncollectedLabel}});
    } else if (record[0] == "note" && record.size() == 2) {
      // ListingNotes
    } else if (record[0] == "nothing") {
      may_be_empty_ = true;
    } else if (record[0] == "collecting" && record.size() == 2) {
      collecting_ = std::string(record[1]);
    } else if (record[0] == "end" && record.size() == 2) {
      ended_ = absl::SimpleAtoi(record[1], &count_);
    } else {
      problem_ = absl::StrCat("its listing has a record '", record[0], "' that dtest does not know");
    }
  }
  absl::StatusOr<CaseInfos> Take(const PytestRecords& records) && {
    if (!records.broken().empty()) {
      return absl::InvalidArgumentError(absl::StrCat("its listing cannot be read: ", records.broken()));
    }
    if (!problem_.empty()) return absl::InvalidArgumentError(problem_);
    if (lock_sets_.size() > kMostLockSets) {
      return absl::InvalidArgumentError(absl::StrCat("marks of dtest_lock make ", lock_sets_.size(),
                                                     " different sets of locks, and ", kMostLockSets,
                                                     " is the most that dtest takes: let tests share names"));
    }
    if (!ended_ && collecting_.has_value()) {
      return absl::AbortedError(absl::StrCat(
          "its process ended while ", collecting_->empty() ? "pytest was configured by conftest.py and plugins" : "",
          *collecting_, collecting_->empty() ? "" : " was collected"));
    }
    if (!ended_ || count_ != cases_.size()) return absl::InvalidArgumentError("its listing is cut short");
    if (cases_.empty() && !may_be_empty_) {
      return absl::InvalidArgumentError(
          "pytest collects no test there; if these Python files are no tests, --pytest none leaves them out");
    }
    return std::move(cases_);
  }

 private:
  void AddCase(const CaseInfo& info) {
    // A request cannot name it, nor pytest's own command line.
    if (absl::StrContains(info.name, absl::string_view("\0", 1)) && problem_.empty()) {
      problem_ =
          absl::StrCat("pytest collects a test whose node id has a zero byte, by which no test can be asked for: '",
                       absl::CHexEscape(info.name), "'; give the parameter another id");
    }
    if (!names_.insert(std::string(info.name)).second && problem_.empty()) {
      problem_ = absl::StrCat("pytest collects two tests of the node id '", info.name, "', which cannot be told apart");
    }
    cases_.Add(info);
  }

  CaseInfos cases_;
  absl::flat_hash_set<std::string> names_;
  absl::flat_hash_set<std::string> lock_sets_;
  std::string problem_;
  bool ended_ = false, may_be_empty_ = false;
  std::optional<std::string> collecting_;  // where it was last; empty: it had not begun to collect
  size_t count_ = 0;
};

// pytest-xdist's workers and what else configures a pytest process from outside of its command line.
std::vector<std::string> DisturbingVariables() { return {"PYTEST_CURRENT_TEST", "COV_CORE_SOURCE"}; }

}  // namespace

Invocation PytestFramework::ListInvocation(absl::string_view temp_dir) const {
  Invocation invocation;
  const std::string listing = absl::StrCat(temp_dir, "/listing");
  invocation.companion = &kPytestCompanion;
  invocation.arguments = {absl::StrCat("--list=", listing)};
  invocation.fork_server = {kServe};
  invocation.unset = DisturbingVariables();
  invocation.read_back = {listing};
  return invocation;
}

absl::StatusOr<CaseInfos> PytestFramework::ParseListing(absl::string_view /*output*/,
                                                        absl::Span<const std::string> files) const {
  PytestRecords records;
  Listing listing;
  records.Feed(files.empty() ? "" : files.front(), [&](const PytestRecord& record) { listing.Add(record); });
  return std::move(listing).Take(records);
}

std::vector<std::string> PytestFramework::ListingNotes(absl::string_view /*output*/,
                                                       absl::Span<const std::string> files) const {
  PytestRecords records;
  std::vector<std::string> notes;
  records.Feed(files.empty() ? "" : files.front(), [&](const PytestRecord& record) {
    if (record[0] == "note" && record.size() == 2) notes.emplace_back(record[1]);
  });
  return notes;
}

Invocation PytestFramework::RunInvocation(const BatchRequest& request) const {
  Invocation invocation;
  const std::string cases = absl::StrCat(request.temp_dir, "/cases");
  std::string names;
  for (const LeasedCase& leased : request.cases) {
    absl::StrAppend(&names, request.listing.name(leased.index), absl::string_view("\0", 1));
  }
  invocation.companion = &kPytestCompanion;
  invocation.arguments = {absl::StrCat("--run=", cases)};
  if (request.may_go_on) invocation.arguments.push_back("--goes-on=yes");
  invocation.fork_server = {kServe};
  invocation.files = {{cases, std::move(names)}};
  invocation.unset = DisturbingVariables();
  invocation.report = true;
  return invocation;
}

std::unique_ptr<OutputReader> PytestFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<PytestReader>(request);
}

std::string PytestFramework::AnswerTo(const Invocation* next) const {
  std::string fields;
  if (next != nullptr) {
    for (const std::string& argument : next->arguments) absl::StrAppend(&fields, argument.size(), ":", argument, ",");
  }
  return absl::StrCat(fields.size(), ":", fields, "\n");
}

const TestFramework& PytestAdapter() {
  static const PytestFramework framework;
  return framework;
}

}  // namespace dtest
