// A bundle without files: units become ready when the test says so, and every chunk is as the test says. One thread.

#ifndef DTEST_TESTS_FAKES_FAKE_BUNDLE_H_
#define DTEST_TESTS_FAKES_FAKE_BUNDLE_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/run/bundle.h"

namespace dtest {

class FakeBundle : public Bundle {
 public:
  // A unit that a host must list, or whose cases are known.
  UnitId Add(std::string name) {
    const UnitId id(static_cast<uint32_t>(units_.size()));
    Unit unit;
    unit.name = name;
    unit.shipped.emplace();
    unit.shipped->id = id;
    unit.shipped->name = std::move(name);
    units_.push_back(std::move(unit));
    return id;
  }
  UnitId AddListed(std::string name, CaseInfos cases) {
    const UnitId id = Add(std::move(name));
    units_[id.value()].listing = CachedListing{std::move(cases), absl::ZeroDuration(), false};
    return id;
  }
  // By an earlier run.
  UnitId AddCached(std::string name, CaseInfos cases) {
    const UnitId id = AddListed(std::move(name), std::move(cases));
    units_[id.value()].listing_key = Digest();
    return id;
  }

  // Its specification has been made, or cannot be. Told at the next RunCallbacks.
  void BecomesReady(UnitId id, absl::Status status = absl::OkStatus(), std::vector<std::string> warnings = {}) {
    callbacks_.push_back(
        [this, id, status = std::move(status), warnings = std::move(warnings)] { ready_(id, status, warnings); });
  }

  struct Remembered {
    UnitId unit;
    CaseInfos cases;
  };
  const std::vector<Remembered>& remembered() const { return remembered_; }

  // ---- Bundle
  void Prepare(const Ready& ready) override { ready_ = ready; }
  size_t size() const override { return units_.size(); }
  const Unit& unit(UnitId id) const override { return units_[id.value()]; }
  void Remember(UnitId id, CaseInfos cases, absl::Duration) override { remembered_.push_back({id, std::move(cases)}); }
  bool Forget(UnitId) override { return false; }
  Recipes FindRecipes(const std::vector<Digest>& files) const override { return {{}, files}; }
  void FetchChunks(const std::vector<Digest>& chunks, const std::function<void(ChunkData)>& send) override {
    for (const Digest& chunk : chunks) {
      callbacks_.push_back([chunk, send] { send({chunk, "zstd"}); });
    }
  }
  int event_fd() const override { return -1; }
  void RunCallbacks() override {
    for (const std::function<void()>& callback : std::exchange(callbacks_, {})) callback();
  }

 private:
  std::vector<Unit> units_;
  Ready ready_;
  std::vector<std::function<void()>> callbacks_;
  std::vector<Remembered> remembered_;
};

}  // namespace dtest

#endif  // DTEST_TESTS_FAKES_FAKE_BUNDLE_H_
