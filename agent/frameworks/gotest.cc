#include "agent/frameworks/gotest.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "agent/frameworks/gotest_listing.h"
#include "agent/frameworks/gotest_reader.h"
#include "agent/frameworks/wanted_cases.h"

namespace dtest {
namespace {

void AddName(absl::string_view name, std::string* names) { absl::StrAppend(names, names->empty() ? "" : "|", name); }

std::string Whole(absl::string_view names) { return absl::StrCat("^(", names, ")$"); }

// Names of the cases that are listed and not requested; empty as well if they are too long for one argument.
std::string NamesOfTheOthers(const BatchRequest& request) {
  const std::vector<uint8_t> wanted = InBatch(request);
  std::string names;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i]) AddName(request.listing.name(i), &names);
  }
  return names.size() <= GoTestFramework::kMostNameBytes ? names : "";
}

}  // namespace

Invocation GoTestFramework::ListInvocation(absl::string_view /*temp_dir*/) const {
  Invocation invocation;
  invocation.arguments = {"-test.list=."};
  return invocation;
}

absl::StatusOr<CaseInfos> GoTestFramework::ParseListing(absl::string_view output,
                                                        absl::Span<const std::string> /*files*/) const {
  absl::StatusOr<GoListing> listing = ParseGoListing(output);
  if (!listing.ok()) return listing.status();
  return std::move(listing->cases);
}

std::vector<std::string> GoTestFramework::ListingNotes(absl::string_view output,
                                                       absl::Span<const std::string> /*files*/) const {
  const absl::StatusOr<GoListing> listing = ParseGoListing(output);
  std::vector<std::string> notes;
  if (!listing.ok()) return notes;
  if (listing->benchmarks > 0) {
    notes.push_back(
        absl::StrCat(listing->benchmarks, listing->benchmarks == 1 ? " benchmark is" : " benchmarks are", " left out"));
  }
  if (listing->other_lines > 0) {
    notes.push_back(absl::StrCat("its listing has ", listing->other_lines, " more ",
                                 listing->other_lines == 1 ? "line, which is" : "lines, which are",
                                 " no names of tests: '", listing->an_other_line, "'"));
  }
  return notes;
}

size_t GoTestFramework::CasesAProcess(const BatchRequest& request) const {
  return CasesThatFit(request, kMostNameBytes);
}

Invocation GoTestFramework::RunInvocation(const BatchRequest& request) const {
  Invocation invocation;
  invocation.arguments = {marked_ ? "-test.v=test2json" : "-test.v=true", "-test.parallel=1", "-test.paniconexit0"};
  if (request.cases.size() == request.listing.size()) return invocation;
  // -test.skip is of Go 1.20, too. A test that TestMain's output hid from the listing runs then, and shows.
  if (marked_ && request.unlisted_too) {
    if (const std::string others = NamesOfTheOthers(request); !others.empty()) {
      invocation.arguments.push_back(absl::StrCat("-test.skip=", Whole(others)));
      return invocation;
    }
  }
  std::string names;
  for (const LeasedCase& leased : request.cases) AddName(request.listing.name(leased.index), &names);
  invocation.arguments.push_back(absl::StrCat("-test.run=", Whole(names)));
  return invocation;
}

std::unique_ptr<OutputReader> GoTestFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<GoTestReader>(request, marked_);
}

const TestFramework& GoTestAdapter() {
  static const GoTestFramework framework(true);
  return framework;
}

const TestFramework& GoTest119Adapter() {
  static const GoTestFramework framework(false);
  return framework;
}

}  // namespace dtest
