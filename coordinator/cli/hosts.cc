#include "coordinator/cli/hosts.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "coordinator/bundle/agent_package.h"
#include "coordinator/bundle/closure.h"
#include "coordinator/bundle/gzip_cache.h"
#include "coordinator/launch/bootstrap_script.h"
#include "protocol/liveness.h"

namespace dtest {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kClockTolerance = absl::Seconds(10);

absl::StatusOr<std::string> FindAgent() {
  if (const char* path = std::getenv("DTEST_AGENT"); path != nullptr && *path != '\0') return std::string(path);
  std::error_code error;
  const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& candidate : {here / "dtest-agent", here / "../libexec/dtest/dtest-agent"}) {
    if (access(candidate.c_str(), X_OK) == 0) return fs::weakly_canonical(candidate, error).string();
  }
  return absl::NotFoundError(absl::StrCat("cannot find dtest-agent in ", here.string(), " or ",
                                          (here / "../libexec/dtest").lexically_normal().string(),
                                          "; install it with dtest, or set DTEST_AGENT to its path"));
}

bool HasTags(const HostSpec& host, const std::vector<std::string>& tags) {
  return std::all_of(tags.begin(), tags.end(), [&](const std::string& tag) {
    return std::find(host.tags.begin(), host.tags.end(), tag) != host.tags.end();
  });
}

}  // namespace

absl::StatusOr<std::vector<HostSpec>> ChooseHosts(const Options& options) {
  std::vector<HostSpec> hosts;
  if (options.hosts_file.has_value()) {
    absl::StatusOr<std::vector<HostSpec>> listed = LoadInventory(*options.hosts_file);
    if (!listed.ok()) return listed.status();
    hosts = *std::move(listed);
  }
  for (const std::string& argument : options.hosts) {
    absl::StatusOr<std::vector<HostSpec>> named = ParseHost(argument);
    if (!named.ok()) return named.status();
    std::move(named->begin(), named->end(), std::back_inserter(hosts));
  }
  if (hosts.empty()) {
    HostSpec local;
    local.kind = HostSpec::Kind::kLocal;
    local.name = "local";
    return std::vector<HostSpec>{local};
  }
  const std::string source = options.hosts_file.value_or("--host");
  if (absl::Status status = NameHosts(source, &hosts); !status.ok()) return status;
  std::erase_if(hosts, [&](const HostSpec& host) { return !HasTags(host, options.tags); });
  if (hosts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": no host has the tags ", absl::StrJoin(options.tags, ", "), " of --tag"));
  }
  return hosts;
}

bool AnyRemote(const std::vector<HostSpec>& hosts) {
  return std::any_of(hosts.begin(), hosts.end(), [](const HostSpec& h) { return h.kind != HostSpec::Kind::kLocal; });
}

bool AnyLocal(const std::vector<HostSpec>& hosts) {
  return std::any_of(hosts.begin(), hosts.end(), [](const HostSpec& h) { return h.kind == HostSpec::Kind::kLocal; });
}

absl::StatusOr<HostPool::Options> PoolOptions(const Options& options, const std::vector<HostSpec>& hosts,
                                              const std::string& run_id) {
  absl::StatusOr<std::string> agent = FindAgent();
  if (!agent.ok()) return agent.status();
  HostPool::Options pool;
  pool.tcp = options.tcp;
  pool.silence = LostAfter(options.host_timeout, HeartbeatInterval(options));
  pool.fleet.ssh_config = options.ssh_config;
  pool.fleet.connect_timeout = options.connect_timeout;
  pool.fleet.run_id = run_id;
  pool.fleet.local_agent = *agent;
  pool.fleet.remote_store = options.remote_store;
  if (AnyRemote(hosts)) {
    LibraryResolver resolver({.ld_library_path = SplitSearchPath(std::getenv("LD_LIBRARY_PATH")),
                              .ld_so_cache = "/etc/ld.so.cache",
                              .default_dirs = {}});
    absl::StatusOr<AgentPackage> package = MakeAgentPackage(*agent, resolver);
    if (!package.ok()) return package.status();
    auto archive = std::make_shared<AgentArchive>();
    archive->digest_hex = package->digest.Hex();
    archive->machine = package->machine;
    archive->loader_name = package->loader_name;
    archive->tar = std::move(package->tar);
    // Its tar stays as long as it does, and who asks for `gzip` has it.
    archive->gzip = std::async(std::launch::deferred, [&tar = archive->tar, digest = package->digest,
                                                       cache = options.cache_dir + "/agents"] {
                      AgentArchive::Zipped zipped = {CachedGzip(cache, digest, tar), 0};
                      zipped.checksum = PosixChecksum(zipped.bytes);
                      return zipped;
                    }).share();
    pool.fleet.agent = std::move(archive);
  }
  return pool;
}

absl::Duration HeartbeatInterval(const Options& options) {
  return std::min<absl::Duration>(absl::Seconds(1), options.host_timeout / 4);
}

std::string ClockRemark(absl::Duration ahead) {
  // The difference includes the time for which its Hello was under way.
  if (ahead > -kClockTolerance && ahead < kClockTolerance) return "";
  return absl::StrCat("warning: its clock is ",
                      absl::FormatDuration(absl::Trunc(absl::AbsDuration(ahead), absl::Seconds(1))),
                      ahead < absl::ZeroDuration() ? " behind" : " ahead of",
                      " this machine's: tests that compare times of files, or check certificates, may fail there. "
                      "Set it, by NTP best");
}

std::string MakeRunId() {
  uint16_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) random = static_cast<uint16_t>(getpid());
  return absl::StrCat(absl::FormatTime("%Y%m%d-%H%M%S", absl::Now(), absl::UTCTimeZone()),
                      absl::StrFormat("-%04x", random));
}

}  // namespace dtest
