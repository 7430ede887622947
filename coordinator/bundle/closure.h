// The shared libraries a program would be given by the loader of this machine, found without running anything.
//
// After ld.so(8) of glibc 2.36, in its order (breadth first): for a name that a library or program L needs,
//   1. a library that was already loaded under that name or with that SONAME;
//   2. if L has no DT_RUNPATH: the DT_RPATH of L, of what loaded L, and so on up to the program;
//   3. LD_LIBRARY_PATH;   4. L's DT_RUNPATH;   5. /etc/ld.so.cache;   6. the default directories.
// Files of another machine or class are passed over. $ORIGIN, $LIB and $PLATFORM are expanded. A program whose loader
// is musl's has no step 5. Deliberately not followed: glibc-hwcaps and legacy hwcap subdirectories (a library that is
// shipped must run on other CPUs than this one), LD_PRELOAD, /etc/ld.so.preload, DT_AUXILIARY and DT_FILTER; libraries
// that a program opens by dlopen are not known here.

#ifndef DTEST_COORDINATOR_BUNDLE_CLOSURE_H_
#define DTEST_COORDINATOR_BUNDLE_CLOSURE_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/bundle/elf.h"
#include "coordinator/bundle/ld_cache.h"

namespace dtest {

struct Library {
  std::string soname;  // the name it was asked for, under which the loader will look for it
  std::string path;    // the real file: absolute, no symbolic links
  std::string found;   // where the loader would find it: absolute; its last component is usually a symbolic link
  bool base = false;   // belongs to the C library
};

struct Closure {
  // Without those that must be the host's, and what only they need. In the order the loader would load them. The loader
  // itself is not among them. One file may be there twice, under the two names it is asked for.
  std::vector<Library> libraries;
  std::string loader_path;   // the real file of PT_INTERP; empty: static, or not on this machine
  std::string glibc_needed;  // the highest of the program and its libraries that are not base, e.g. "2.34"; empty: none
  FrameworkSet frameworks;   // those of the program, itself or by libraries it uses as such
  // Sonames that must be the host's own (MustBeHosts) and are looked for in its system's directories. One to
  // which a path of the user's own led here (RPATH, RUNPATH, LD_LIBRARY_PATH), or that was not found and may be in a
  // directory of such a path on the host, is in no list.
  std::vector<std::string> host_libraries;
  std::vector<std::string> missing;  // for a person: "libfoo.so.1 (needed by /a/b)"
};

// Thread-compatible: one thread at a time. Files are read once, however many programs share them; a library that is
// replaced while this object lives is not seen.
class LibraryResolver {
 public:
  struct Options {
    std::vector<std::string> ld_library_path;  // see SplitSearchPath; "." is the working directory
    std::string ld_so_cache = "/etc/ld.so.cache";
    std::vector<std::string> default_dirs;  // empty: those that distributions use for the program's machine
  };
  explicit LibraryResolver(Options options);
  LibraryResolver(const LibraryResolver&) = delete;
  LibraryResolver& operator=(const LibraryResolver&) = delete;

  // `info` is of `executable_path`. Static programs have an empty closure. A library that is not found, is damaged or
  // cannot be read is in `missing`, not an error, since a host may have it. Errors: the path cannot be resolved.
  absl::StatusOr<Closure> Resolve(const std::string& executable_path, const ElfInfo& info);

  // Libraries read so far.
  size_t libraries_read() const { return by_inode_.size(); }

 private:
  // A library's file, by inode.
  struct File {
    std::string real_path;
    ElfInfo elf;
    bool shared_library = false;
  };
  // One loaded object of one resolution.
  struct Object {
    const ElfInfo* elf = nullptr;
    std::string path;    // as found
    std::string origin;  // $ORIGIN
    int loader = -1;     // index of what loaded it
  };
  struct Found {
    const File* file = nullptr;
    std::string path;
    bool system = false;  // in the cache or a default directory: no path of the user's own led there
  };

  // True, and noted in the closure, if what the search for `name` found is the host's.
  static bool LeaveToHost(absl::string_view name, const std::optional<Found>& found, const Object& owner,
                          Closure* closure);
  // The library at `path`, if it exists and is of that machine and class.
  const File* Probe(const std::string& path, const ElfInfo& program);
  std::optional<Found> SearchDirs(const std::vector<std::string>& dirs, absl::string_view name, const Object& owner,
                                  const ElfInfo& program);
  std::optional<Found> Search(absl::string_view name, const std::vector<Object>& objects, size_t requester);
  const LdCache& Cache();
  const std::vector<std::string>& DefaultDirs(const ElfInfo& program);

  const Options options_;
  std::optional<LdCache> cache_;
  absl::flat_hash_map<std::string, std::vector<std::string>> default_dirs_;  // by machine
  absl::flat_hash_map<std::pair<dev_t, ino_t>, std::unique_ptr<File>> by_inode_;
  absl::flat_hash_map<std::string, const File*> by_path_;  // null: nothing usable there
};

// Entries of LD_LIBRARY_PATH (null: none): separated by ':' or ';', an empty one means the working directory, ".".
std::vector<std::string> SplitSearchPath(const char* value);

// True for the sonames of glibc's and musl's own libraries and loaders, which only work together with each other.
bool IsBaseLibrary(absl::string_view soname);

// Libraries that belong to a machine's drivers and hardware: a copy from elsewhere does not find them, or fails with
// them. After AppImage's excludelist and NVIDIA's list of driver files.
enum class HostOwned {
  kNo,
  kDriver,    // libcuda, libnvidia-*...: a file of the kernel driver's version, wherever it was found
  kGraphics,  // libGL, libEGL, libvulkan, libOpenCL, libdrm...: load a driver; unless a path of the user's led to it
  kDisplay,   // libX11, libxcb, libwayland-client: must fit the graphics library, where there is one
};
HostOwned MustBeHosts(absl::string_view soname);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_BUNDLE_CLOSURE_H_
