#include "agent/frameworks/tap.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/lines.h"
#include "agent/frameworks/sanitizer.h"
#include "agent/frameworks/tap_document.h"

namespace dtest {
namespace {

class TapReader : public OutputReader {
 public:
  explicit TapReader(const BatchRequest& request)
      : index_(request.cases.front().index), capture_(request.output_cap), lines_(TapFramework::kLongestLine) {}

  bool Start(CaseSink* sink) override {
    sink->Began(index_);
    return true;
  }

  void Feed(absl::string_view bytes, CaseSink* /*sink*/) override {
    capture_.Append(bytes);
    lines_.Feed(bytes, [this](absl::string_view line) { Line(line); });
  }

  void Ended(absl::Span<const std::string> /*files*/, ProcessEnd* end, CaseSink* sink) override {
    lines_.End([this](absl::string_view line) { Line(line); });
    if (end->signal != 0) {  // a crash, in the words of the core
      end->output_cut = capture_.cut();
      end->output = capture_.Take();
      return;
    }
    TapDocument::Verdict verdict = document_.Finish();
    const bool failed = verdict.kind == TapDocument::Verdict::Kind::kFailed;
    if (end->exit_code != 0) {
      verdict.message = absl::StrCat(failed ? absl::StrCat(verdict.message, "\n") : "", "exited with status ",
                                     end->exit_code, failed ? "" : ", though its points say nothing of a failure");
    }
    CaseResult result;
    result.index = index_;
    if (failed || end->exit_code != 0) {
      result.outcome = Outcome::kFailed;
    } else if (verdict.kind == TapDocument::Verdict::Kind::kSkipped) {
      result.outcome = Outcome::kSkipped;
    }
    result.message = std::move(verdict.message);
    result.output_cut = capture_.cut();
    result.output = capture_.Take();
    result.warning = std::move(warning_);
    if (result.warning.empty()) result.warning = std::move(verdict.remarks);
    end->exit_code = 0;
    sink->Finished(std::move(result), Standing::kTold);
  }

 private:
  void Line(absl::string_view line) {
    document_.Line(line);
    KeepSanitizerHeadline(line, &warning_);
  }

  const uint32_t index_;
  Capture capture_;
  Lines lines_;
  TapDocument document_;
  std::string warning_;  // a sanitizer's, also where `capture_` leaves it out
};

bool IsNumber(absl::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos;
}

}  // namespace

Invocation TapFramework::ListInvocation(absl::string_view /*temp_dir*/) const { return {}; }

absl::StatusOr<CaseInfos> TapFramework::ParseListing(absl::string_view /*output*/,
                                                     absl::Span<const std::string> /*files*/) const {
  return CaseInfos();
}

Invocation TapFramework::RunInvocation(const BatchRequest& /*request*/) const { return {}; }

std::unique_ptr<OutputReader> TapFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<TapReader>(request);
}

bool TapFramework::Claims(absl::string_view output) const {
  bool first = true, plan = false, point = false;
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    absl::ConsumeSuffix(&line, "\r");
    if (const auto version = ParseTapVersion(line); version.has_value() && IsNumber(*version)) return true;
    plan |= ParseTapPlan(line).has_value();
    const auto found = ParseTapPoint(line);
    point |= found.has_value();
    if (plan && (first || point)) return true;
    // Many a program says "ok".
    if (first && ((found.has_value() && found->number.has_value()) || absl::StartsWith(line, "Bail out!"))) return true;
    first = false;
  }
  return false;
}

const TestFramework& TapAdapter() {
  static const TapFramework framework;
  return framework;
}

}  // namespace dtest
