#include "agent/frameworks/plain.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/lines.h"
#include "agent/frameworks/sanitizer.h"
#include "agent/frameworks/tap.h"
#include "agent/frameworks/tap_document.h"

namespace dtest {
namespace {

constexpr size_t kLongestPoint = 200;  // that a warning repeats

// Of a case that has begun already.
class BegunCase : public CaseSink {
 public:
  void Began(uint32_t /*index*/) override {}
  void Finished(CaseResult /*result*/, Standing /*standing*/) override {}
};

class PlainReader : public OutputReader {
 public:
  explicit PlainReader(const BatchRequest& request)
      : case_(request.cases.front()),
        request_(request),
        capture_(request.output_cap),
        lines_(TapFramework::kLongestLine) {
    request_.cases = absl::MakeConstSpan(&case_, 1);
  }

  bool Start(CaseSink* sink) override {
    sink->Began(case_.index);
    return true;
  }

  void Feed(absl::string_view bytes, CaseSink* sink) override {
    if (claimant_ != nullptr) return claimant_->Feed(bytes, sink);
    capture_.Append(bytes);
    lines_.Feed(bytes, [this](absl::string_view line) { Line(line); });
    if (!may_be_claimed_) return;
    const absl::string_view head = bytes.substr(0, PlainFramework::kHead - head_.size());
    head_.append(head.data(), head.size());
    if (absl::StrContains(head, '\n')) LookForClaim(absl::string_view(head_).substr(0, head_.rfind('\n')), sink);
    if (claimant_ != nullptr) return claimant_->Feed(bytes.substr(head.size()), sink);
    if (head_.size() == PlainFramework::kHead) ForgetHead();
  }

  void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) override {
    if (may_be_claimed_) LookForClaim(head_, sink);
    if (claimant_ != nullptr) return claimant_->Ended(files, end, sink);
    lines_.End([this](absl::string_view line) { Line(line); });
    if (end->signal != 0) {  // a crash, in the words of the core
      end->output_cut = capture_.cut();
      end->output = capture_.Take();
      return;
    }
    CaseResult result;
    result.index = case_.index;
    if (end->exit_code == PlainFramework::kSkipStatus) {
      result.outcome = Outcome::kSkipped;
      result.message = absl::StrCat("exited with status ", end->exit_code);
    } else if (end->exit_code != 0) {
      result.outcome = Outcome::kFailed;
      result.message = absl::StrCat("exited with status ", end->exit_code);
    }
    result.output_cut = capture_.cut();
    result.output = capture_.Take();
    result.warning = std::move(warning_);
    if (result.warning.empty() && !IsFailure(result.outcome) && !tap_failure_.empty()) {
      result.warning = absl::StrCat("it printed a TAP failure ('", tap_failure_,
                                    "') and was not recognised as TAP: --protocol tap reads it as such");
    }
    end->exit_code = 0;
    sink->Finished(std::move(result), Standing::kTold);
  }

 private:
  void Line(absl::string_view line) {
    KeepSanitizerHeadline(line, &warning_);
    if (!tap_failure_.empty() || !absl::StartsWith(line, "not ok ")) return;
    const auto point = ParseTapPoint(line);
    if (!point.has_value() || point->directive == TapPoint::Directive::kTodo) return;
    if (!point->number.has_value() && !absl::StartsWith(line, "not ok - ")) return;  // prose
    tap_failure_ = std::string(line.substr(0, kLongestPoint));
  }
  // `lines`: of `head_`, without one that may go on.
  void LookForClaim(absl::string_view lines, CaseSink* sink) {
    const TestFramework* const framework = FrameworkThatClaims(lines);
    if (framework == nullptr) return;
    claimant_ = framework->NewReader(request_);
    BegunCase begun;
    claimant_->Start(&begun);
    claimant_->Feed(head_, sink);
    ForgetHead();
    capture_.Clear();
  }
  void ForgetHead() {
    may_be_claimed_ = false;
    head_ = std::string();
  }

  const LeasedCase case_;
  BatchRequest request_;
  Capture capture_;
  Lines lines_;
  std::string warning_;      // a sanitizer's, also where `capture_` leaves it out
  std::string tap_failure_;  // the first line that would be one
  std::string head_;         // all that was printed, while it may be claimed
  bool may_be_claimed_ = true;
  std::unique_ptr<OutputReader> claimant_;
};

}  // namespace

Invocation PlainFramework::ListInvocation(absl::string_view /*temp_dir*/) const { return {}; }

absl::StatusOr<CaseInfos> PlainFramework::ParseListing(absl::string_view /*output*/,
                                                       absl::Span<const std::string> /*files*/) const {
  return CaseInfos();
}

Invocation PlainFramework::RunInvocation(const BatchRequest& /*request*/) const { return {}; }

const TestFramework& PlainAdapter() {
  static const PlainFramework framework;
  return framework;
}

std::unique_ptr<OutputReader> PlainFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<PlainReader>(request);
}

}  // namespace dtest
