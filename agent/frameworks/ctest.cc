#include "agent/frameworks/ctest.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/frameworks/capture.h"
#include "agent/frameworks/lines.h"
#include "agent/frameworks/sanitizer.h"
#include "dtest/base/cmake_regex.h"

namespace dtest {
namespace {

constexpr size_t kLongestLineOfOutput = 64 << 10;

// Expressions of one property, looked for in one output.
class Expressions {
 public:
  explicit Expressions(const std::vector<std::string>& texts) : texts_(texts) {
    for (const std::string& text : texts) {
      absl::StatusOr<CMakeRegex> regex = CMakeRegex::Compile(text);
      if (!regex.ok()) fault_ = absl::StrCat("the expression '", text, "' has ", regex.status().message());
      regexes_.push_back(regex.ok() ? *std::move(regex) : *CMakeRegex::Compile(""));
    }
    for (const CMakeRegex& regex : regexes_) searches_.emplace_back(regex);
  }
  Expressions(const Expressions&) = delete;
  Expressions& operator=(const Expressions&) = delete;

  bool empty() const { return texts_.empty(); }
  // What keeps them from being looked for; empty: nothing.
  const std::string& fault() const { return fault_; }
  void Feed(absl::string_view bytes) {
    for (CMakeRegex::Search& search : searches_) search.Feed(bytes);
  }
  // Once the output has ended: the first that is found, or null.
  const std::string* Found() {
    const auto found = std::find_if(searches_.begin(), searches_.end(), [](auto& search) { return search.Found(); });
    return found == searches_.end() ? nullptr : &texts_[found - searches_.begin()];
  }
  std::string All() const { return absl::StrCat("'", absl::StrJoin(texts_, "', '"), "'"); }

 private:
  const std::vector<std::string> texts_;
  std::vector<CMakeRegex> regexes_;
  std::vector<CMakeRegex::Search> searches_;
  std::string fault_;
};

class CTestReader : public OutputReader {
 public:
  explicit CTestReader(const BatchRequest& request)
      : case_(request.cases.front()),
        judging_(request.judging == nullptr ? Judging() : *request.judging),
        pass_(judging_.pass),
        fail_(judging_.fail),
        skip_(judging_.skip),
        capture_(request.output_cap),
        lines_(kLongestLineOfOutput) {}

  bool Start(CaseSink* sink) override {
    CaseResult result;
    result.index = case_.index;
    for (const Expressions* expressions : {&pass_, &fail_, &skip_}) {
      if (expressions->fault().empty()) continue;
      result.outcome = Outcome::kInfraError;
      result.message = expressions->fault();
      sink->Finished(std::move(result), Standing::kNeverRuns);
      return false;
    }
    if (judging_.disabled) {
      result.outcome = Outcome::kSkipped;
      result.message = "disabled: its property DISABLED says so";
      sink->Finished(std::move(result), Standing::kNeverRuns);
      return false;
    }
    sink->Began(case_.index);
    return true;
  }

  void Feed(absl::string_view bytes, CaseSink* /*sink*/) override {
    capture_.Append(bytes);
    lines_.Feed(bytes, [this](absl::string_view line) { KeepSanitizerHeadline(line, &warning_); });
    if (pass_.empty() && fail_.empty() && skip_.empty()) return;
    std::string text;
    text.reserve(bytes.size());
    for (const char byte : bytes) {
      if (byte == '\r') {
        ++returns_;
        continue;
      }
      const bool ends_line = byte == '\n' || byte == '\0';
      text.append(ends_line ? 0 : returns_, '\r').push_back(ends_line ? '\n' : byte);
      returns_ = 0;
      in_line_ = !ends_line;
    }
    Look(text);
  }

  void Ended(absl::Span<const std::string> /*files*/, ProcessEnd* end, CaseSink* sink) override {
    lines_.End([this](absl::string_view line) { KeepSanitizerHeadline(line, &warning_); });
    if (end->signal != 0) {  // a crash, in the words of the core
      end->output_cut = capture_.cut();
      end->output = capture_.Take();
      return;
    }
    if (in_line_ || returns_ > 0) Look(absl::StrCat(std::string(returns_, '\r'), "\n"));
    CaseResult result = Judge(end->exit_code);
    result.index = case_.index;
    result.output_cut = capture_.cut();
    result.output = capture_.Take();
    result.warning = std::move(warning_);
    end->exit_code = 0;
    sink->Finished(std::move(result), Standing::kTold);
  }

 private:
  void Look(absl::string_view text) {
    for (Expressions* expressions : {&pass_, &fail_, &skip_}) expressions->Feed(text);
  }

  CaseResult Judge(int status) {
    CaseResult result;
    const std::string exited = absl::StrCat("exited with status ", status);
    const std::string* const skipped = skip_.Found();
    if (skipped != nullptr || status == judging_.skip_status) {
      result.outcome = Outcome::kSkipped;
      result.message = skipped == nullptr ? exited : absl::StrCat("its output has '", *skipped, "'");
      return result;
    }
    std::string why;  // it is not well
    const std::string* const failed = fail_.Found();
    if (failed != nullptr) {
      why = absl::StrCat("its output has '", *failed, "'");
    } else if (!pass_.empty()) {
      if (pass_.Found() == nullptr) why = absl::StrCat(exited, ", and its output has not ", pass_.All());
    } else if (status != 0) {
      why = exited;
    }
    if (why.empty() == !judging_.will_fail) return result;
    result.outcome = Outcome::kFailed;
    result.message = judging_.will_fail ? absl::StrCat(exited, ", and its property WILL_FAIL says that it fails") : why;
    return result;
  }

  const LeasedCase case_;
  const Judging judging_;
  Expressions pass_, fail_, skip_;
  Capture capture_;
  Lines lines_;
  std::string warning_;  // a sanitizer's, also where `capture_` leaves it out
  size_t returns_ = 0;   // CRs at the end of what was read, whose line may end here
  bool in_line_ = false;
};

}  // namespace

Invocation CTestFramework::ListInvocation(absl::string_view /*temp_dir*/) const { return {}; }

absl::StatusOr<CaseInfos> CTestFramework::ParseListing(absl::string_view /*output*/,
                                                       absl::Span<const std::string> /*files*/) const {
  return CaseInfos();
}

Invocation CTestFramework::RunInvocation(const BatchRequest& /*request*/) const { return {}; }

std::unique_ptr<OutputReader> CTestFramework::NewReader(const BatchRequest& request) const {
  return std::make_unique<CTestReader>(request);
}

const TestFramework& CTestAdapter() {
  static const CTestFramework framework;
  return framework;
}

}  // namespace dtest
