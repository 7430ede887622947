#include "agent/execute/slot_directories.h"

#include "absl/strings/str_cat.h"

namespace dtest {

class AgentDirectories::OnDisk final : public SlotDirectories {
 public:
  OnDisk(std::string temporary, std::string control, Trash* trash)
      : temporary_(std::move(temporary)), control_(std::move(control)), trash_(*trash) {}

  const std::string& temporary() const override { return temporary_; }
  const std::string& control() const override { return control_; }
  absl::Status Restore() override {
    absl::Status restored = RestoreDirectory(temporary_);
    return restored.ok() ? RestoreDirectory(control_) : restored;
  }
  std::string ReadFile(const std::string& path) override { return ReadFileIfThere(path); }
  void Empty() override {
    trash_.Empty(temporary_);
    trash_.Empty(control_);
  }

 private:
  const std::string temporary_;
  const std::string control_;
  Trash& trash_;
};

absl::StatusOr<std::unique_ptr<SlotDirectories>> AgentDirectories::MakeSlot(SlotId slot) {
  absl::StatusOr<std::string> temporary = directory_->MakeDirectory(absl::StrCat("slot-", slot.value()));
  if (!temporary.ok()) return temporary.status();
  AgentDirectory& of_control = in_memory_ != nullptr ? *in_memory_ : *directory_;
  absl::StatusOr<std::string> control = of_control.MakeDirectory(absl::StrCat("control-", slot.value()));
  if (!control.ok()) return control.status();
  return std::make_unique<OnDisk>(*std::move(temporary), *std::move(control), &trash_);
}

}  // namespace dtest
