#include "coordinator/run/run_bundle.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "coordinator/bundle/ctest_spec.h"
#include "coordinator/bundle/framework_table.h"

namespace dtest {
namespace {

constexpr char kLibraryPath[] = "LD_LIBRARY_PATH";

LibraryResolver::Options ResolverOptions(const char* library_path) {
  return {.ld_library_path = SplitSearchPath(library_path), .ld_so_cache = "/etc/ld.so.cache", .default_dirs = {}};
}

}  // namespace

RunBundle::RunBundle(Options options, std::vector<TestProgram> programs)
    : options_(std::move(options)),
      programs_(std::move(programs)),
      listings_(options_.cache_dir + "/listings"),
      surroundings_(options_.shipped ? "" : ListingCache::Surroundings(options_.root, options_.data_files)),
      catalog_({.cache_dir = options_.cache_dir}),
      resolver_(ResolverOptions(std::getenv(kLibraryPath))),
      units_(programs_.size()),
      workers_(options_.threads != 0 ? options_.threads
                                     : std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 8)) {
  for (size_t i = 0; i < programs_.size(); ++i) units_[i].name = programs_[i].name;
}

Closure RunBundle::ClosureOf(const TestProgram& program) {
  if (program.script || !program.elf.dynamic) return {};
  MutexLock lock(&layout_mutex_);
  absl::StatusOr<Closure> closure = ResolverFor(program).Resolve(program.path, program.elf);
  return closure.ok() ? *std::move(closure) : Closure();
}

LibraryResolver& RunBundle::ResolverFor(const TestProgram& program) {
  const char* const ours = std::getenv(kLibraryPath);
  const std::string path = ours == nullptr ? "" : ours;
  const std::string its = program.ctest.has_value() ? LibraryPathOf(*program.ctest, path) : path;
  if (its == path) return resolver_;
  std::unique_ptr<LibraryResolver>& other = other_resolvers_[its];
  if (other == nullptr) other = std::make_unique<LibraryResolver>(ResolverOptions(its.c_str()));
  return *other;
}

void RunBundle::AddArguments(UnitSpec* spec) const {
  spec->arguments.insert(spec->arguments.end(), options_.arguments.begin(), options_.arguments.end());
}

RunBundle::Made RunBundle::Make(UnitId id) {
  const TestProgram& program = programs_[id.value()];
  Made made;
  made.unit.name = program.name;
  if (!program.unrunnable.empty()) {
    made.status = absl::FailedPreconditionError(program.unrunnable);
    return made;
  }
  if (program.pytest.has_value()) {
    made.status = MakePytest(id, &made);
    return made;
  }
  if (program.ctest.has_value()) made.unit.declarations = &program.ctest->declarations;
  const FrameworkRow& framework = FrameworkNamed(program.framework);
  const bool has_key = framework.lists && options_.list_cache;
  const Closure closure = ClosureOf(program);
  std::vector<std::string> libraries;  // those that may change what it lists: not the C library's
  if (options_.in_place) {
    absl::StatusOr<UnitSpec> spec =
        program.ctest.has_value() ? InPlaceCTestSpec(id, program) : InPlaceSpec(id, program);
    if (!spec.ok()) {
      made.status = spec.status();
      return made;
    }
    made.unit.in_place = *std::move(spec);
    made.unit.in_place->host_libraries = closure.host_libraries;
    AddArguments(&*made.unit.in_place);
    if (!options_.shipped && has_key) {
      for (const Library& library : closure.libraries) {
        if (!library.base) libraries.push_back(library.path);
      }
    }
  }
  if (options_.shipped) {
    // Hashing is the work; it happens here, in parallel. The rest is quick and takes turns.
    const bool hosts =
        program.ctest.has_value() && (program.ctest->judging.disabled || IsHosts(options_.root, program.path));
    absl::StatusOr<CatalogFile> hashed = hosts ? CatalogFile() : catalog_.Add(program.path);
    if (!hashed.ok()) {
      made.status = hashed.status();
      return made;
    }
    // Most share their libraries: each begins with another, or all would wait for the one that hashes the first. A
    // later unit that needs this file gets the same error.
    const std::vector<Library>& needed = closure.libraries;
    for (size_t k = 0; k < needed.size(); ++k) {
      catalog_.Add(needed[(k + id.value()) % needed.size()].path).IgnoreError();
    }
    MutexLock lock(&layout_mutex_);
    const SpecOptions spec_options = {.root = options_.root,
                                      .data = options_.data,
                                      .placed = options_.placed,
                                      .layout = &layout_,
                                      .warnings = &made.warnings};
    absl::StatusOr<UnitSpec> spec = program.ctest.has_value()
                                        ? MakeCTestSpec(id, program, spec_options, ResolverFor(program), catalog_)
                                        : MakeSpec(id, program, spec_options, resolver_, catalog_);
    if (!spec.ok()) {
      made.status = spec.status();
      return made;
    }
    made.unit.shipped = *std::move(spec);
    AddArguments(&*made.unit.shipped);
  }
  if (!framework.lists) {
    made.unit.listing = CachedListing{{program.name}, absl::ZeroDuration(), false};  // one case, named like it
  } else if (has_key) {
    const UnitSpec& spec = options_.shipped ? *made.unit.shipped : *made.unit.in_place;
    made.unit.listing_key = ListingCache::Key(spec, libraries, options_.env, surroundings_);
    if (made.unit.listing_key) made.unit.listing = listings_.Find(*made.unit.listing_key);
  }
  const bool prints_all = made.unit.listing ? made.unit.listing->prints_all
                                            : framework.prints_all != nullptr && framework.prints_all(program.path);
  if (made.unit.in_place) made.unit.in_place->prints_all = prints_all;
  if (made.unit.shipped) made.unit.shipped->prints_all = prints_all;
  return made;
}

// What it lists depends on all that is installed for its interpreter: no earlier run's listing is used.
absl::Status RunBundle::MakePytest(UnitId id, Made* made) {
  const TestProgram& program = programs_[id.value()];
  if (options_.in_place) {
    absl::StatusOr<UnitSpec> spec = InPlacePytestSpec(id, program, options_.pytest);
    if (!spec.ok()) return spec.status();
    made->unit.in_place = *std::move(spec);
  }
  if (!options_.shipped) return absl::OkStatus();
  MutexLock lock(&layout_mutex_);
  const SpecOptions spec_options = {
      .root = options_.root, .data = options_.data, .placed = options_.placed, .layout = &layout_};
  absl::StatusOr<UnitSpec> spec = MakePytestSpec(id, program, options_.pytest, spec_options, catalog_);
  if (!spec.ok()) return spec.status();
  made->unit.shipped = *std::move(spec);
  return absl::OkStatus();
}

void RunBundle::Prepare(const Ready& ready) {
  if (options_.shipped) {
    for (const std::string& path : options_.data_files) {
      workers_.Add([this, path]() -> Workers::Completion {
        catalog_.Add(path).IgnoreError();  // a unit that needs it gets the same error
        return nullptr;
      });
    }
  }
  std::vector<std::pair<uint64_t, uint32_t>> by_size;
  for (uint32_t i = 0; i < programs_.size(); ++i) {
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(programs_[i].path, error);
    by_size.emplace_back(error ? 0 : size, i);
  }
  std::sort(by_size.begin(), by_size.end());
  for (const auto& [size, index] : by_size) {
    workers_.Add([this, id = UnitId(index), ready]() -> Workers::Completion {
      if (!options_.shipped || catalog_.AddIfKnown(programs_[id.value()].path)) return MakeReady(id, ready);
      workers_.Add([this, id, ready] { return MakeReady(id, ready); });  // after all that are known
      return nullptr;
    });
  }
}

Workers::Completion RunBundle::MakeReady(UnitId id, const Ready& ready) {
  auto made = std::make_shared<Made>(Make(id));
  return [this, id, ready, made] {
    units_[id.value()] = std::move(made->unit);
    ready(id, made->status, made->warnings);
  };
}

void RunBundle::Remember(UnitId id, CaseInfos cases, absl::Duration startup) {
  Unit& unit = units_[id.value()];
  const std::optional<Digest> key = unit.listing_key;
  if (!key) return;
  unit.listing.reset();  // an earlier run's, which nobody asked
  const UnitSpec& spec = unit.shipped ? *unit.shipped : *unit.in_place;
  // Not by the workers, who drop what they have not begun when the run ends: it is one small file, without fsync.
  listings_.Put(*key, {std::move(cases), startup, spec.prints_all});
}

bool RunBundle::Forget(UnitId id) {
  const Unit& unit = units_[id.value()];
  if (unit.listing_key) listings_.Forget(*unit.listing_key);
  return unit.listing_key && unit.listing;
}

Recipes RunBundle::FindRecipes(const std::vector<Digest>& files) const {
  Recipes answer;
  for (const Digest& file : files) {
    if (std::optional<FileRecipe> recipe = catalog_.Recipe(file)) {
      answer.recipes.push_back(*std::move(recipe));
    } else {
      answer.unknown.push_back(file);
    }
  }
  return answer;
}

void RunBundle::FetchChunks(const std::vector<Digest>& chunks, const std::function<void(ChunkData)>& send) {
  for (const Digest& digest : chunks) {
    workers_.AddUrgent([this, digest, send]() -> Workers::Completion {
      auto chunk = std::make_shared<ChunkData>();
      chunk->digest = digest;
      if (absl::StatusOr<std::shared_ptr<const std::string>> bytes = catalog_.CompressedChunk(digest); bytes.ok()) {
        chunk->zstd = **bytes;
      }
      return [send, chunk] { send(std::move(*chunk)); };
    });
  }
}

}  // namespace dtest
