#include "agent/execute/sandbox_launcher.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace dtest {

absl::StatusOr<std::unique_ptr<TestProcess>> SandboxLauncher::Launch(SlotId slot, StartSpec spec) {
  if (spec.sandbox == Sandbox::kNone) return inner_.Launch(slot, std::move(spec));
  if (!network_.has_value()) network_ = NetworkGuard::Make(&wake_);
  if (!network_->ok()) return network_->status();
  spec.start = [guard = (*network_)->get()](const ChildSpec& child) { return guard->Start(child); };
  // What is forked is kept from what its server is kept from.
  absl::StrAppend(&spec.fork_key, "\nno network");
  return inner_.Launch(slot, std::move(spec));
}

void SandboxLauncher::TellAttempts(const std::function<void(pid_t process, const std::string& address)>& tell) {
  NetworkGuard& guard = ***network_;
  for (const NetworkGuard::Attempt& attempt : guard.TakeAttempts()) {
    tell(attempt.process, attempt.address);
    guard.Refuse(attempt);
  }
}

}  // namespace dtest
