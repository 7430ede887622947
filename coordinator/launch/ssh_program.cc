#include "coordinator/launch/ssh_program.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "coordinator/launch/bootstrap.h"

namespace dtest {

std::vector<std::string> SshProgramArguments(const HostSpec& host, const SshSettings& settings,
                                             const std::string& config, absl::Duration timeout,
                                             const std::string& command) {
  std::vector<std::string> arguments = {"ssh", "-T"};
  const int64_t seconds = std::max<int64_t>(1, absl::ToInt64Seconds(timeout));
  for (const std::string& option :
       {std::string("BatchMode=yes"), std::string("StrictHostKeyChecking=yes"), std::string("ClearAllForwardings=yes"),
        std::string("ControlMaster=no"), std::string("ControlPath=none"), std::string("RemoteCommand=none"),
        std::string("PermitLocalCommand=no"), std::string("LogLevel=INFO"), absl::StrCat("ConnectTimeout=", seconds)}) {
    arguments.insert(arguments.end(), {"-o", option});
  }
  // The way to it as it would be for libssh, so that jump hosts, too, ask nothing and trust no unknown key. Its tokens
  // are expanded already.
  if (absl::string_view proxy = settings.proxy_command; !proxy.empty()) {
    absl::ConsumePrefix(&proxy, "exec ");  // ssh puts one before it
    arguments.insert(arguments.end(), {"-o", absl::StrCat("ProxyCommand=", absl::StrReplaceAll(proxy, {{"%", "%%"}}))});
  }
  if (!config.empty()) arguments.insert(arguments.end(), {"-F", config});
  if (host.port != 0) arguments.insert(arguments.end(), {"-p", absl::StrCat(host.port)});
  if (!host.user.empty()) arguments.insert(arguments.end(), {"-l", host.user});
  arguments.insert(arguments.end(), {"--", host.address, command});
  return arguments;
}

absl::Status SshProgramFailure(const HostSpec& host, const SshSettings& settings, absl::string_view err) {
  const std::string said = Quote(err);
  const std::string text =
      absl::StrCat("ssh cannot reach ", settings.user, "@", host.address, " port ", settings.port, ": ",
                   said.empty() ? "it gave no reason" : said,
                   absl::StrContains(err, "Too many authentication failures") ? kTooManyKeysHint : "");
  if (absl::StrContains(err, "Host key verification failed")) return absl::FailedPreconditionError(text);
  if (absl::StrContains(err, "Permission denied") || absl::StrContains(err, "authentication failures")) {
    return absl::PermissionDeniedError(text);
  }
  return absl::UnavailableError(text);
}

bool SshProgramWasTurnedAway(absl::string_view err) { return absl::StrContains(err, "kex_exchange_identification:"); }

}  // namespace dtest
