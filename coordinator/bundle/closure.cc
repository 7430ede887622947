#include "coordinator/bundle/closure.h"

#include <sys/auxv.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "coordinator/bundle/files.h"
#include "dtest/base/machine.h"
#include "dtest/base/version_order.h"

namespace dtest {

namespace {

constexpr uint64_t kMaxCache = 64 << 20;

bool IsMusl(const ElfInfo& program) { return absl::StartsWith(BaseName(program.interpreter), "ld-musl-"); }

// What $LIB can stand for: each distribution compiles one of these into its loader.
std::vector<std::string> LibNames(const ElfInfo& program) {
  std::vector<std::string> names;
  names.push_back(absl::StrCat("lib/", LibraryTriplet(program.machine)));
  names.emplace_back(program.elf_class == 64 ? "lib64" : "lib32");
  names.emplace_back("lib");
  return names;
}

std::vector<std::string> PlatformNames(const ElfInfo& program) {
  std::vector<std::string> names;
  // The kernel hands the address out as a number.
  const auto* platform = reinterpret_cast<const char*>(getauxval(AT_PLATFORM));  // NOLINT(performance-no-int-to-ptr)
  if (platform != nullptr) names.emplace_back(platform);
  names.push_back(program.machine);
  return names;
}

// Replaces each $NAME or ${NAME} in every one of `texts` by each of `values`.
std::vector<std::string> Substitute(const std::vector<std::string>& texts, absl::string_view name,
                                    const std::vector<std::string>& values) {
  std::vector<std::string> results;
  for (const std::string& text : texts) {
    size_t at = 0;
    size_t length = 0;
    for (const std::string& token : {absl::StrCat("${", name, "}"), absl::StrCat("$", name)}) {
      for (at = text.find(token); at != std::string::npos; at = text.find(token, at + 1)) {
        // $LIBRARY is not $LIB.
        const char after = at + token.size() < text.size() ? text[at + token.size()] : '/';
        length = token.size();
        if (token[1] == '{' || (!isalnum(static_cast<unsigned char>(after)) && after != '_')) break;
      }
      if (at != std::string::npos) break;
    }
    if (at == std::string::npos) {
      results.push_back(text);
      continue;
    }
    for (const std::string& value : values) {
      // The rest may hold the token again; the value may not.
      for (const std::string& rest : Substitute({text.substr(at + length)}, name, values)) {
        results.push_back(absl::StrCat(text.substr(0, at), value, rest));
      }
    }
  }
  return results;
}

std::vector<std::string> Expand(const std::string& text, absl::string_view origin, const ElfInfo& program) {
  if (!absl::StrContains(text, "$")) return {text};
  std::vector<std::string> texts = Substitute({text}, "LIB", LibNames(program));
  texts = Substitute(texts, "PLATFORM", PlatformNames(program));
  return Substitute(texts, "ORIGIN", {std::string(origin)});
}

}  // namespace

LibraryResolver::LibraryResolver(Options options) : options_(std::move(options)) {}

const LdCache& LibraryResolver::Cache() {
  if (!cache_.has_value()) {
    // Without a usable cache, ld.so goes on to the default directories; so do we.
    cache_.emplace();
    absl::StatusOr<std::string> bytes = ReadWholeFile(options_.ld_so_cache, kMaxCache);
    if (bytes.ok()) {
      absl::StatusOr<LdCache> parsed = ParseLdCache(*bytes);
      if (parsed.ok()) cache_ = *std::move(parsed);
    }
  }
  return *cache_;
}

const std::vector<std::string>& LibraryResolver::DefaultDirs(const ElfInfo& program) {
  if (!options_.default_dirs.empty()) return options_.default_dirs;
  auto [found, inserted] = default_dirs_.try_emplace(program.machine);
  if (inserted) {
    for (const std::string& name : LibNames(program)) {
      found->second.push_back(absl::StrCat("/", name));
      found->second.push_back(absl::StrCat("/usr/", name));
    }
    if (IsMusl(program)) found->second.emplace_back("/usr/local/lib");
  }
  return found->second;
}

const LibraryResolver::File* LibraryResolver::Probe(const std::string& path, const ElfInfo& program) {
  auto [by_path, is_new] = by_path_.try_emplace(path, nullptr);
  if (is_new) {
    struct stat status;
    if (stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      std::unique_ptr<File>& file = by_inode_[{status.st_dev, status.st_ino}];
      if (file == nullptr) {
        file = std::make_unique<File>();
        absl::StatusOr<ElfInfo> elf = ReadElf(path);
        std::optional<std::string> real = RealPath(path);
        if (elf.ok() && real.has_value()) {
          file->real_path = *std::move(real);
          file->elf = *std::move(elf);
          file->shared_library = file->elf.dynamic;
        }
      }
      by_path->second = file.get();
    }
  }
  const File* file = by_path->second;
  if (file == nullptr || !file->shared_library || file->elf.machine != program.machine ||
      file->elf.elf_class != program.elf_class) {
    return nullptr;
  }
  return file;
}

std::optional<LibraryResolver::Found> LibraryResolver::SearchDirs(const std::vector<std::string>& dirs,
                                                                  absl::string_view name, const Object& owner,
                                                                  const ElfInfo& program) {
  for (const std::string& entry : dirs) {
    for (const std::string& dir : Expand(entry.empty() ? "." : entry, owner.origin, program)) {
      const std::string path = absl::StrCat(absl::StripSuffix(dir, "/"), "/", name);
      if (const File* file = Probe(path, program); file != nullptr) return Found{file, path};
    }
  }
  return std::nullopt;
}

std::optional<LibraryResolver::Found> LibraryResolver::Search(absl::string_view name,
                                                              const std::vector<Object>& objects, size_t requester) {
  const Object& program = objects[0];
  const Object& owner = objects[requester];
  if (absl::StrContains(name, "/")) {
    for (const std::string& path : Expand(std::string(name), owner.origin, *program.elf)) {
      if (const File* file = Probe(path, *program.elf); file != nullptr) return Found{file, path};
    }
    return std::nullopt;
  }
  if (owner.elf->runpath.empty()) {
    for (int i = static_cast<int>(requester); i >= 0; i = objects[i].loader) {
      if (auto found = SearchDirs(objects[i].elf->rpath, name, objects[i], *program.elf)) return found;
    }
  }
  if (auto found = SearchDirs(options_.ld_library_path, name, program, *program.elf)) return found;
  if (auto found = SearchDirs(owner.elf->runpath, name, owner, *program.elf)) return found;
  if (!IsMusl(*program.elf)) {
    if (const auto cached = Cache().find(name); cached != Cache().end()) {
      for (const std::string& path : cached->second) {
        if (const File* file = Probe(path, *program.elf); file != nullptr) return Found{file, path, true};
      }
    }
  }
  std::optional<Found> found = SearchDirs(DefaultDirs(*program.elf), name, program, *program.elf);
  if (found.has_value()) found->system = true;
  return found;
}

bool LibraryResolver::LeaveToHost(absl::string_view name, const std::optional<Found>& found, const Object& owner,
                                  Closure* closure) {
  const HostOwned owned = MustBeHosts(name);
  if (owned != HostOwned::kDriver && owned != HostOwned::kGraphics) return false;
  const bool by_own_path = found.has_value() && !found->system;
  if (owned == HostOwned::kGraphics && by_own_path) return false;
  const bool may_be_elsewhere = !found.has_value() && !(owner.elf->rpath.empty() && owner.elf->runpath.empty());
  if (!by_own_path && !may_be_elsewhere) closure->host_libraries.emplace_back(name);
  return true;
}

absl::StatusOr<Closure> LibraryResolver::Resolve(const std::string& executable_path, const ElfInfo& info) {
  const std::optional<std::string> real = RealPath(executable_path);
  if (!real.has_value()) return FileError(errno, "resolving", executable_path);
  Closure closure;
  closure.glibc_needed = info.glibc_needed;
  closure.frameworks = info.frameworks;

  absl::flat_hash_set<std::string> loaded_names;
  absl::flat_hash_set<std::string> missing_names;
  absl::flat_hash_set<const File*> loaded_files;
  if (!info.interpreter.empty()) {
    if (const File* loader = Probe(info.interpreter, info); loader != nullptr) {
      closure.loader_path = loader->real_path;
      loaded_names.insert(loader->elf.soname);
      loaded_files.insert(loader);
    }
    loaded_names.insert(std::string(BaseName(info.interpreter)));
  }

  std::vector<Object> objects;
  objects.push_back({&info, *real, std::string(DirectoryOf(*real)), -1});
  for (size_t requester = 0; requester < objects.size(); ++requester) {
    const ElfInfo& elf = *objects[requester].elf;
    for (const std::string& name : elf.needed) {
      if (loaded_names.contains(name)) continue;
      if (IsMusl(info) && (name == "libc.so" || absl::StartsWith(name, "libc.musl-"))) continue;  // is the loader
      std::optional<Found> found = Search(name, objects, requester);
      if (LeaveToHost(name, found, objects[requester], &closure)) {
        loaded_names.insert(name);
        continue;
      }
      if (!found.has_value()) {
        if (missing_names.insert(name).second) {
          closure.missing.push_back(
              absl::StrCat(Printable(name), " (needed by ", Printable(objects[requester].path), ")"));
        }
        continue;
      }
      loaded_names.insert(name);
      const File& file = *found->file;
      const bool is_loader = !closure.loader_path.empty() && file.real_path == closure.loader_path;
      if (is_loader) continue;
      absl::StatusOr<std::string> path = AbsolutePath(found->path);
      if (!path.ok()) return path.status();
      const bool base = IsBaseLibrary(name) || IsBaseLibrary(file.elf.soname);
      closure.libraries.push_back({std::string(BaseName(name)), file.real_path, *path, base});
      closure.frameworks.Add(requester == 0 ? file.elf.frameworks : file.elf.frameworks & info.uses);
      if (!loaded_files.insert(&file).second) continue;
      if (!file.elf.soname.empty()) loaded_names.insert(file.elf.soname);
      if (!base && CompareVersions(file.elf.glibc_needed, closure.glibc_needed) > 0) {
        closure.glibc_needed = file.elf.glibc_needed;
      }
      // A library's $ORIGIN is the directory it was found in, symbolic links included; the program's is resolved.
      objects.push_back({&file.elf, *path, std::string(DirectoryOf(*path)), static_cast<int>(requester)});
    }
  }
  const auto is_graphics = [](const std::string& name) { return MustBeHosts(name) == HostOwned::kGraphics; };
  if (absl::c_any_of(closure.host_libraries, is_graphics)) {
    const auto fits_graphics = [](const Library& library) {
      return MustBeHosts(library.soname) == HostOwned::kDisplay;
    };
    for (const Library& library : closure.libraries) {
      if (fits_graphics(library)) closure.host_libraries.push_back(library.soname);
    }
    std::erase_if(closure.libraries, fits_graphics);
  }
  return closure;
}

std::vector<std::string> SplitSearchPath(const char* value) {
  if (value == nullptr || *value == '\0') return {};
  std::vector<std::string> dirs = absl::StrSplit(value, absl::ByAnyChar(":;"));
  for (std::string& dir : dirs) {
    if (dir.empty()) dir.assign(1, '.');
  }
  return dirs;
}

HostOwned MustBeHosts(absl::string_view soname) {
  static constexpr std::pair<absl::string_view, HostOwned> kPrefixes[] = {
      {"libcuda.so", HostOwned::kDriver},        {"libcudadebugger.so", HostOwned::kDriver},
      {"libnvidia-", HostOwned::kDriver},        {"libnvcuvid.so", HostOwned::kDriver},
      {"libnvoptix.so", HostOwned::kDriver},     {"libnvrm", HostOwned::kDriver},
      {"libGLX_", HostOwned::kDriver},           {"libEGL_", HostOwned::kDriver},
      {"libGLESv1_CM_", HostOwned::kDriver},     {"libGLESv2_", HostOwned::kDriver},
      {"libvdpau_", HostOwned::kDriver},         {"libvulkan_", HostOwned::kDriver},
      {"libGL.so", HostOwned::kGraphics},        {"libGLX.so", HostOwned::kGraphics},
      {"libOpenGL.so", HostOwned::kGraphics},    {"libGLdispatch.so", HostOwned::kGraphics},
      {"libEGL.so", HostOwned::kGraphics},       {"libGLESv1_CM.so", HostOwned::kGraphics},
      {"libGLESv2.so", HostOwned::kGraphics},    {"libglapi.so", HostOwned::kGraphics},
      {"libgbm.so", HostOwned::kGraphics},       {"libdrm.so", HostOwned::kGraphics},
      {"libdrm_", HostOwned::kGraphics},         {"libvulkan.so", HostOwned::kGraphics},
      {"libOpenCL.so", HostOwned::kGraphics},    {"libva.so", HostOwned::kGraphics},
      {"libva-", HostOwned::kGraphics},          {"libvdpau.so", HostOwned::kGraphics},
      {"libze_loader.so", HostOwned::kGraphics}, {"libX11.so", HostOwned::kDisplay},
      {"libX11-xcb.so", HostOwned::kDisplay},    {"libxcb.so", HostOwned::kDisplay},
      {"libxcb-", HostOwned::kDisplay},          {"libwayland-client.so", HostOwned::kDisplay},
  };
  for (const auto& [prefix, owned] : kPrefixes) {
    if (absl::StartsWith(soname, prefix)) return owned;
  }
  return HostOwned::kNo;
}

bool IsBaseLibrary(absl::string_view soname) {
  static constexpr absl::string_view kExact[] = {"libc.so.6", "libc.so.6.1", "libnsl.so.1",
                                                 "ld64.so.1", "ld64.so.2",   "ld.so.1"};
  static constexpr absl::string_view kPrefixes[] = {"ld-linux",    "ld-musl-",          "libc.musl-",
                                                    "libm.so.6",   "libpthread.so.",    "libdl.so.2",
                                                    "librt.so.1",  "libresolv.so.2",    "libutil.so.1",
                                                    "libanl.so.1", "libmvec.so.1",      "libBrokenLocale.so.1",
                                                    "libnss_",     "libthread_db.so.1", "libc_malloc_debug.so.0"};
  return std::any_of(std::begin(kExact), std::end(kExact), [&](absl::string_view name) { return soname == name; }) ||
         std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](absl::string_view prefix) { return absl::StartsWith(soname, prefix); });
}

}  // namespace dtest
