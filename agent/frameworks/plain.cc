#include "agent/frameworks/plain.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/sanitizer.h"

namespace dtest {
namespace {

class PlainReader : public OutputReader {
 public:
  explicit PlainReader(const BatchRequest& request)
      : index_(request.cases.front().index), capture_(request.output_cap) {}

  bool Start(CaseSink* sink) override {
    sink->Began(index_);
    return true;
  }

  void Feed(absl::string_view bytes, CaseSink* /*sink*/) override { capture_.Append(bytes); }

  void Ended(absl::Span<const std::string> /*files*/, ProcessEnd* end, CaseSink* sink) override {
    if (end->signal != 0) {  // a crash, in the words of the core
      end->output_cut = capture_.cut();
      end->output = capture_.Take();
      return;
    }
    CaseResult result;
    result.index = index_;
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
  const uint32_t index_;
  Capture capture_;
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
