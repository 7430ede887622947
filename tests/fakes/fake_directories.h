// Directories of slots that are names, with the files that a test has put there. One thread.

#ifndef DTEST_TESTS_FAKES_FAKE_DIRECTORIES_H_
#define DTEST_TESTS_FAKES_FAKE_DIRECTORIES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/execute/slot_directories.h"

namespace dtest {

class FakeDirectories final : public Directories {
 public:
  // By path; those of a slot are gone once it is emptied.
  std::map<std::string, std::string> files;
  // Of the next slot that is made, and of every Restore.
  absl::Status making, restoring;

  absl::StatusOr<std::unique_ptr<SlotDirectories>> MakeSlot(SlotId slot) override {
    if (!making.ok()) return making;
    return std::make_unique<Named>(absl::StrCat("/slot-", slot.value()), this);
  }

 private:
  class Named final : public SlotDirectories {
   public:
    Named(std::string root, FakeDirectories* all)
        : root_(std::move(root)), temporary_(root_ + "/temporary"), control_(root_ + "/control"), all_(*all) {}

    const std::string& temporary() const override { return temporary_; }
    const std::string& control() const override { return control_; }
    absl::Status Restore() override { return all_.restoring; }
    std::string ReadFile(const std::string& path) override {
      const auto found = all_.files.find(path);
      return found == all_.files.end() ? "" : found->second;
    }
    absl::Status WriteFile(const std::string& path, const std::string& contents) override {
      all_.files[path] = contents;
      return absl::OkStatus();
    }
    absl::StatusOr<std::string> SharedDirectory(const std::string& name,
                                                const std::function<Files()>& /*files*/) override {
      return absl::StrCat("/shared/", name);
    }
    void Empty() override {
      std::erase_if(all_.files, [this](const auto& file) { return absl::StartsWith(file.first, root_ + "/"); });
    }

   private:
    const std::string root_, temporary_, control_;
    FakeDirectories& all_;
  };
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_FAKE_DIRECTORIES_H_
