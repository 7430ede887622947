#include "agent/frameworks/plain.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/sanitizer.h"

namespace dtest {
namespace {

// Of a case that has begun already.
class BegunCase : public CaseSink {
 public:
  void Began(uint32_t /*index*/) override {}
  void Finished(CaseResult /*result*/, Standing /*standing*/) override {}
};

class PlainReader : public OutputReader {
 public:
  explicit PlainReader(const BatchRequest& request)
      : case_(request.cases.front()), request_(request), capture_(request.output_cap) {
    request_.cases = absl::MakeConstSpan(&case_, 1);
  }

  bool Start(CaseSink* sink) override {
    sink->Began(case_.index);
    return true;
  }

  void Feed(absl::string_view bytes, CaseSink* sink) override {
    if (claimant_ != nullptr) return claimant_->Feed(bytes, sink);
    capture_.Append(bytes);
    if (!may_be_claimed_) return;
    const absl::string_view head = bytes.substr(0, PlainFramework::kHead - head_.size());
    head_.append(head.data(), head.size());
    if (absl::StrContains(head, '\n')) LookForClaim(sink);
    if (claimant_ != nullptr) return claimant_->Feed(bytes.substr(head.size()), sink);
    if (head_.size() == PlainFramework::kHead) ForgetHead();
  }

  void Ended(absl::Span<const std::string> files, ProcessEnd* end, CaseSink* sink) override {
    if (may_be_claimed_) LookForClaim(sink);
    if (claimant_ != nullptr) return claimant_->Ended(files, end, sink);
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
    result.warning = std::string(SanitizerHeadline(result.output));
    end->exit_code = 0;
    sink->Finished(std::move(result), Standing::kTold);
  }

 private:
  void LookForClaim(CaseSink* sink) {
    const TestFramework* const framework = FrameworkThatClaims(head_);
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
  std::string head_;  // all that was printed, while it may be claimed
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
