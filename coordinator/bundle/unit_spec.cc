#include "coordinator/bundle/unit_spec.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/bundle/file_tree.h"
#include "coordinator/bundle/files.h"
#include "protocol/chunking.h"
#include "protocol/codec.h"

namespace dtest {

namespace {

absl::Status AddFileAs(const std::string& tree_path, const std::string& file, bool executable, Catalog& catalog,
                       TreeBuilder* tree) {
  absl::StatusOr<CatalogFile> added = catalog.Add(file);
  if (!added.ok()) return added.status();
  ManifestEntry entry;
  entry.path = tree_path;
  entry.file = added->id;
  entry.size = added->size;
  entry.executable = executable || added->executable;
  tree->AddEntry(std::move(entry));
  return absl::OkStatus();
}

// Programs of one directory stay neighbours.
std::string OutsidePath(const std::string& path) {
  return absl::StrCat(".dtest/outside/", Sha256(DirectoryOf(path)).Hex().substr(0, 8), "/", BaseName(path));
}

// Its place in the tree; false if it has none of its own because it lies outside of the root.
bool PlaceBelowRoot(const std::string& root, const std::string& path, std::string* relative) {
  return RelativeTo(root, path, relative) && !absl::StartsWith(*relative, ".dtest/");
}

// What both kinds of spec say.
UnitSpec Describe(UnitId id, const TestProgram& program) {
  UnitSpec spec;
  spec.id = id;
  spec.name = program.name;
  spec.framework = program.framework;
  if (!program.script) {
    spec.machine = program.elf.machine;
    spec.interpreter = program.elf.interpreter;
    spec.glibc_needed = program.elf.glibc_needed;
  }
  return spec;
}

absl::Status AddLibraries(const std::string& root, const TestProgram& program, const Closure& closure,
                          LibraryLayout* layout, Catalog& catalog, TreeBuilder* tree, UnitSpec* spec) {
  const std::string loader_name(closure.loader_path.empty() ? "" : BaseName(program.elf.interpreter));
  const size_t number = layout->Place(closure, loader_name);
  const std::string suffix = number == 0 ? "" : absl::StrCat(".", number);
  const std::string library_dir = absl::StrCat(".dtest/lib", suffix);
  const std::string base_dir = absl::StrCat(".dtest/base", suffix);

  std::vector<std::string> own_dirs;
  for (const Library& library : closure.libraries) {
    const std::string& dir = library.base ? base_dir : library_dir;
    absl::Status added = AddFileAs(absl::StrCat(dir, "/", library.soname), library.path, false, catalog, tree);
    if (!added.ok()) return added;
    std::vector<std::string>* dirs = library.base ? &spec->base_library_dirs : &spec->library_dirs;
    if (dirs->empty()) dirs->push_back(dir);
    // A library of the user's own also keeps its place, for $ORIGIN and for what it opens beside itself.
    std::string relative;
    if (library.base || !PlaceBelowRoot(root, library.found, &relative)) continue;
    if (absl::Status kept = tree->Add(relative); !kept.ok()) return kept;
    const std::string own_dir(absl::StrContains(relative, "/") ? DirectoryOf(relative) : "");
    if (!own_dir.empty() && std::find(own_dirs.begin(), own_dirs.end(), own_dir) == own_dirs.end()) {
      own_dirs.push_back(own_dir);
    }
  }
  spec->library_dirs.insert(spec->library_dirs.end(), own_dirs.begin(), own_dirs.end());
  if (!loader_name.empty()) {
    spec->loader = absl::StrCat(base_dir, "/", loader_name);
    if (spec->base_library_dirs.empty()) spec->base_library_dirs.push_back(base_dir);
    absl::Status added = AddFileAs(spec->loader, closure.loader_path, true, catalog, tree);
    if (!added.ok()) return added;
  }
  return absl::OkStatus();
}

}  // namespace

size_t LibraryLayout::Place(const Closure& closure, const std::string& loader_name) {
  std::vector<std::pair<std::string, std::string>> wanted;
  for (const Library& library : closure.libraries) wanted.emplace_back(library.soname, library.path);
  if (!loader_name.empty()) wanted.emplace_back(loader_name, closure.loader_path);
  const auto agrees = [&](const absl::flat_hash_map<std::string, std::string>& set) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const auto& library) {
      const auto placed = set.find(library.first);
      return placed == set.end() || placed->second == library.second;
    });
  };
  const auto set = std::find_if(sets_.begin(), sets_.end(), agrees);
  const auto number = static_cast<size_t>(set - sets_.begin());
  if (set == sets_.end()) sets_.emplace_back();
  sets_[number].insert(wanted.begin(), wanted.end());
  return number;
}

absl::StatusOr<const std::vector<ManifestEntry>*> LibraryLayout::Data(const std::string& root,
                                                                      const std::vector<std::string>& patterns,
                                                                      const std::vector<PlacedFile>& placed,
                                                                      Catalog& catalog) {
  if (!data_.has_value()) {
    TreeBuilder tree(root, catalog);
    for (const std::string& pattern : patterns) {
      if (absl::Status added = tree.AddGlob(pattern); !added.ok()) return added;
    }
    for (const PlacedFile& one : placed) {
      absl::Status added = AddFileAs(one.place, one.file, /*executable=*/false, catalog, &tree);
      if (!added.ok()) return added;
    }
    data_ = tree.entries();
  }
  return &*data_;
}

absl::StatusOr<UnitSpec> MakeSpec(UnitId id, const TestProgram& program, const SpecOptions& options,
                                  LibraryResolver& resolver, Catalog& catalog) {
  const std::optional<std::string> real = RealPath(options.root);
  if (!real.has_value()) return FileError(errno, "resolving the working directory", options.root);
  const std::string& root = *real;
  UnitSpec spec = Describe(id, program);
  TreeBuilder tree(root, catalog);

  absl::StatusOr<const std::vector<ManifestEntry>*> data =
      options.layout->Data(root, options.data, options.placed, catalog);
  if (!data.ok()) return data.status();
  for (const ManifestEntry& entry : **data) tree.AddEntry(entry);

  if (PlaceBelowRoot(root, program.path, &spec.path)) {
    if (absl::Status added = tree.Add(spec.path); !added.ok()) return added;
  } else {
    spec.path = OutsidePath(program.path);
    absl::Status added = AddFileAs(spec.path, program.path, true, catalog, &tree);
    if (!added.ok()) return added;
  }
  if (!program.script) {
    absl::StatusOr<Closure> closure = resolver.Resolve(program.path, program.elf);
    if (!closure.ok()) return closure.status();
    spec.glibc_needed = closure->glibc_needed;
    spec.host_libraries = closure->host_libraries;
    absl::Status added = AddLibraries(root, program, *closure, options.layout, catalog, &tree, &spec);
    if (!added.ok()) return added;
    if (options.warnings != nullptr) {
      for (const std::string& missing : closure->missing) {
        options.warnings->push_back(
            absl::StrCat("library ", missing, " is not on this machine: only hosts that have it can run the test"));
      }
    }
  }
  spec.files = tree.entries();
  if (absl::Status fits = CheckFits(spec); !fits.ok()) return fits;
  return spec;
}

UnitSpec InPlaceSpec(UnitId id, const TestProgram& program) {
  UnitSpec spec = Describe(id, program);
  spec.in_place = true;
  spec.path = program.path;
  return spec;
}

absl::Status CheckFits(const UnitSpec& spec) {
  // An entry's digest, numbers and pointers as Cap'n Proto lays them out, and its texts, each padded to a word.
  constexpr uint64_t kEntryBytes = 112;
  uint64_t bytes = 0;
  for (const ManifestEntry& entry : spec.files) bytes += kEntryBytes + entry.path.size() + entry.symlink_target.size();
  if (spec.files.size() <= kMaxListLength && bytes <= kMaxFrameBytes / 2) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(spec.name, " needs ", spec.files.size(), " files, more than one message to a host can list (",
                   kMaxListLength, " files, or ", kMaxFrameBytes / 2 >> 20,
                   " MiB of names); narrow --data, or ship an archive that the test unpacks"));
}

uint64_t SpecBytes(const UnitSpec& spec) {
  absl::flat_hash_set<Digest> counted;
  uint64_t bytes = 0;
  for (const ManifestEntry& entry : spec.files) {
    if (!entry.file.empty() && counted.insert(entry.file).second) bytes += entry.size;
  }
  return bytes;
}

}  // namespace dtest
