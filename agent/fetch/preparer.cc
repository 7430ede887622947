#include "agent/fetch/preparer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/execute/environment.h"
#include "agent/execute/host_libraries.h"
#include "agent/execute/loader.h"
#include "dtest/base/machine.h"

namespace dtest {
namespace {

// True if the entry belongs to shipped libraries, which are loaded and not started.
bool IsLibrary(const UnitSpec& spec, const ManifestEntry& entry) {
  if (entry.path == spec.loader) return true;
  const auto contains = [&](const std::vector<std::string>& directories) {
    return std::any_of(directories.begin(), directories.end(), [&](const std::string& directory) {
      return absl::StartsWith(entry.path, absl::StrCat(directory, "/"));
    });
  };
  return contains(spec.library_dirs) || contains(spec.base_library_dirs);
}

// For a person: a library that must be this host's own, and that it does not have. Empty: it has all.
std::string LackingLibrary(const UnitSpec& spec, const RunSettings& settings) {
  const char* variable = std::getenv("LD_LIBRARY_PATH");
  std::string search_path = variable == nullptr ? "" : variable;
  for (const auto& [name, value] : settings.env) {
    if (name == "LD_LIBRARY_PATH") search_path = value;
  }
  HostLibraryPlaces places;
  places.first = absl::StrSplit(search_path, absl::ByAnyChar(":;"), absl::SkipEmpty());
  for (const std::string& soname : spec.host_libraries) {
    if (!HostHasLibrary(soname, spec.machine, places)) {
      return absl::StrCat(spec.name, " needs ", soname,
                          ", which this host does not have, and which no other host's copy can replace");
    }
  }
  return "";
}

// An interpreter of the host's: where `path` is a name, the first of that name in the directories of PATH. Empty: there
// is none.
std::string HostProgram(const std::string& path, const RunSettings& settings) {
  if (path[0] == '/') return access(path.c_str(), X_OK) == 0 ? path : "";
  const char* variable = std::getenv("PATH");
  std::string search_path = variable == nullptr ? kUsualSearchPath : variable;
  for (const auto& [name, value] : settings.env) {
    if (name == "PATH") search_path = value;
  }
  return FindProgram(path, search_path);
}

// In an environment, or by its name in a PATH that begins with what the environment will have. What the host lacks of
// that is told of the host.
bool IsFoundLater(const std::string& path, const RunSettings& settings) {
  const HostEnvironment& environment = settings.environment;
  if (!environment.path.empty() && absl::StartsWith(path, absl::StrCat(environment.path, "/"))) return true;
  return HasDirectory(environment) && !absl::StrContains(path, "/");
}

// Whether it is started by what the host has, and not by one of its files.
bool IsHostProgram(const UnitSpec& spec) {
  if (spec.path.empty() || spec.path[0] == '/') return !spec.path.empty();
  return !absl::StrContains(spec.path, "/") &&
         std::none_of(spec.files.begin(), spec.files.end(),
                      [&](const ManifestEntry& entry) { return entry.path == spec.path; });
}

}  // namespace

Preparer::Preparer(Options options) : options_(std::move(options)) {}
Preparer::~Preparer() = default;

void Preparer::Prepare(absl::Time now, const RunSettings& settings, const UnitSpec& spec) {
  if (std::string lacking = LackingLibrary(spec, settings); !lacking.empty()) {
    options_.ready({{spec.id, std::move(lacking), false}, "", "", {}});
    return;
  }
  if (spec.in_place) {
    PrepareInPlace(settings, spec);
    return;
  }
  if (absl::Status status = OpenStore(settings); !status.ok()) {
    // Without a store this host can do nothing for the run.
    options_.ready({{spec.id, std::string(status.message()), true}, "", "", {}});
    return;
  }
  settings_ = settings;
  fetching_[spec.id] = &spec;
  fetcher_->Want(now, spec);
}

void Preparer::PrepareInPlace(const RunSettings& settings, const UnitSpec& spec) {
  PreparedUnit unit;
  unit.ready.unit = spec.id;
  unit.path = spec.path;
  const std::string& directory = spec.working_directory.empty() ? settings.working_directory : spec.working_directory;
  unit.working_directory = directory.empty() ? "." : directory;
  if (!IsFoundLater(spec.path, settings) && access(spec.path.c_str(), X_OK) != 0) {
    unit.ready.error = std::string(absl::ErrnoToStatus(errno, absl::StrCat("cannot execute ", spec.path)).message());
  }
  options_.ready(std::move(unit));
}

absl::Status Preparer::OpenStore(const RunSettings& settings) {
  if (store_ != nullptr) return absl::OkStatus();
  Store::Options options;
  options.root = options_.store_root;
  options.run_id = settings.run_id;
  if (settings.store_limit != 0) options.limit = settings.store_limit;
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(options);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  working_directory_ = store_->tree();
  if (!settings.working_directory.empty()) absl::StrAppend(&working_directory_, "/", settings.working_directory);
  Fetcher::Options fetch;
  fetch.store = store_.get();
  fetch.send = options_.send;
  fetch.ask_peer = ask_peer_;
  fetch.arrived = options_.arrived;
  fetch.spread = std::hash<std::string>()(settings.host_name);
  fetch.ready = [this](Fetcher::Ready ready) { Fetched(std::move(ready)); };
  fetcher_ = std::make_unique<Fetcher>(fetch);
  return absl::OkStatus();
}

void Preparer::Fetched(Fetcher::Ready fetched) {
  const auto found = fetching_.find(fetched.unit);
  const UnitSpec& spec = *found->second;
  fetching_.erase(found);
  PreparedUnit unit;
  unit.ready = {fetched.unit, std::move(fetched.error), fetched.drain};
  if (unit.ready.error.empty()) {
    unit.path = absl::StrCat(store_->tree(), "/", spec.path);
    unit.tree = store_->tree();
    unit.working_directory =
        spec.working_directory.empty() ? working_directory_ : absl::StrCat(store_->tree(), "/", spec.working_directory);
    const absl::Status status = ChooseLibraries(spec, &unit.library_path);
    unit.ready.error = std::string(status.message());
    unit.ready.drain = absl::IsResourceExhausted(status);
    std::error_code error;
    std::filesystem::create_directories(unit.working_directory, error);  // no file of it may have come
    if (error && status.ok())
      unit.ready.error = absl::StrCat("cannot make ", unit.working_directory, ": ", error.message());
  }
  if (unit.ready.error.empty() && IsHostProgram(spec)) {
    unit.path = IsFoundLater(spec.path, settings_) ? spec.path : HostProgram(spec.path, settings_);
    if (unit.path.empty()) {
      unit.ready.error = absl::StrCat(spec.name, " needs ", spec.path, ", which this host does not have",
                                      spec.path[0] == '/' ? "" : " in its PATH");
    }
  }
  options_.ready(std::move(unit));
  if (!fetcher_->idle()) return;
  if (const uint64_t freed = store_->Evict(); freed != 0) {
    options_.note(absl::StrCat("removed ", freed >> 20, " MiB of old files from the store ", options_.store_root));
  }
}

absl::Status Preparer::ChooseLibraries(const UnitSpec& spec, std::vector<std::string>* library_path) {
  const auto add = [&](const std::vector<std::string>& directories) {
    for (const std::string& directory : directories) {
      library_path->push_back(absl::StrCat(store_->tree(), "/", directory));
    }
  };
  add(spec.library_dirs);
  if (spec.interpreter.empty()) return absl::OkStatus();
  const bool has_interpreter = access(spec.interpreter.c_str(), X_OK) == 0;
  // A 32-bit program has a C library of its own on a host.
  const bool other_size = Is32Bit(spec.machine) != (sizeof(void*) == 4);
  const std::string host_glibc = other_size ? HostGlibcVersion(spec.machine) : options_.host_glibc;
  if (has_interpreter && GlibcSuffices(host_glibc, spec.glibc_needed)) return absl::OkStatus();
  if (spec.loader.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        spec.name, " needs ",
        has_interpreter ? absl::StrCat("glibc ", spec.glibc_needed, ", this host has ", host_glibc)
                        : absl::StrCat("the program loader ", spec.interpreter, ", which this host does not have"),
        ", and no C library was shipped with it"));
  }
  add(spec.base_library_dirs);
  const std::string loader = absl::StrCat(store_->tree(), "/", spec.loader);
  for (const ManifestEntry& entry : spec.files) {
    if (!entry.executable || !entry.symlink_target.empty() || IsLibrary(spec, entry)) continue;
    const std::string path = absl::StrCat(store_->tree(), "/", entry.path);
    if (!patched_.insert(path).second) continue;
    if (absl::Status status = UseLoader(path, loader); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::optional<std::string> Preparer::ReadChunk(const Digest& chunk) {
  return store_ == nullptr ? std::nullopt : store_->ReadChunk(chunk);
}

void Preparer::Tick(absl::Time now) {
  if (now >= NextDeadline()) fetcher_->Tick(now);
}

absl::Time Preparer::NextDeadline() const {
  return fetcher_ == nullptr ? absl::InfiniteFuture() : fetcher_->NextDeadline();
}

}  // namespace dtest
