#include "agent/execute/slot_directories.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "dtest/base/whole_file.h"

namespace dtest {

class AgentDirectories::OnDisk final : public SlotDirectories {
 public:
  OnDisk(std::string temporary, std::string control, AgentDirectories* owner)
      : temporary_(std::move(temporary)), control_(std::move(control)), owner_(*owner) {}

  const std::string& temporary() const override { return temporary_; }
  const std::string& control() const override { return control_; }
  absl::Status Restore() override {
    absl::Status restored = RestoreDirectory(temporary_);
    return restored.ok() ? RestoreDirectory(control_) : restored;
  }
  std::string ReadFile(const std::string& path) override { return ReadFileIfThere(path); }
  absl::Status WriteFile(const std::string& path, const std::string& contents) override {
    return ReplaceFile(path, path, contents);
  }
  absl::StatusOr<std::string> SharedDirectory(const std::string& name, const std::function<Files()>& files) override {
    return owner_.SharedDirectory(name, files);
  }
  void Empty() override {
    owner_.trash_.Empty(temporary_);
    owner_.trash_.Empty(control_);
  }

 private:
  const std::string temporary_;
  const std::string control_;
  AgentDirectories& owner_;
};

absl::StatusOr<std::unique_ptr<SlotDirectories>> AgentDirectories::MakeSlot(SlotId slot) {
  absl::StatusOr<std::string> temporary = directory_->MakeDirectory(absl::StrCat("slot-", slot.value()));
  if (!temporary.ok()) return temporary.status();
  AgentDirectory& of_control = in_memory_ != nullptr ? *in_memory_ : *directory_;
  absl::StatusOr<std::string> control = of_control.MakeDirectory(absl::StrCat("control-", slot.value()));
  if (!control.ok()) return control.status();
  return std::make_unique<OnDisk>(*std::move(temporary), *std::move(control), this);
}

absl::StatusOr<std::string> AgentDirectories::SharedDirectory(const std::string& name,
                                                              const std::function<SlotDirectories::Files()>& files) {
  if (const auto made = shared_.find(name); made != shared_.end()) return made->second;
  absl::StatusOr<std::string> directory = directory_->MakeDirectory(name);
  if (!directory.ok()) return directory;
  for (const auto& [path, contents] : files()) {
    const std::filesystem::path file = std::filesystem::path(*directory) / path;
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    if (error) return absl::InternalError(absl::StrCat("making ", file.parent_path().string(), ": ", error.message()));
    if (absl::Status written = ReplaceFile(file.string(), file.string(), contents); !written.ok()) return written;
  }
  shared_.emplace(name, *directory);
  return directory;
}

}  // namespace dtest
