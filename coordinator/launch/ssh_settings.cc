#include "coordinator/launch/ssh_settings.h"

#include <netinet/in.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "coordinator/launch/bootstrap.h"
#include "coordinator/launch/spawn.h"

namespace dtest {
namespace {

// What OpenSSH 9.2 looks for where nothing is configured, less what libssh cannot use (security keys, xmss, dsa).
constexpr const char* kDefaultIdentities[] = {"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"};
constexpr const char* kDefaultKnownHosts[] = {"~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts",
                                              "/etc/ssh/ssh_known_hosts2"};

struct LocalUser {
  std::string name;
  std::string home;  // of the password database, as ssh does: not $HOME
};

LocalUser WhoAmI() {
  LocalUser user;
  passwd entry;
  passwd* found = nullptr;
  char buffer[4096];
  if (getpwuid_r(getuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found != nullptr) {
    user.name = found->pw_name;
    user.home = found->pw_dir;
  }
  return user;
}

std::string Expand(absl::string_view text, const LocalUser& me, const HostSpec& host, const SshSettings& settings) {
  std::string out;
  if (absl::StartsWith(text, "~/")) {
    out = me.home;
    text.remove_prefix(1);
  }
  char local_host[256] = "";
  gethostname(local_host, sizeof(local_host) - 1);
  const std::map<char, std::string> tokens = {
      {'%', "%"},
      {'d', me.home},
      {'h', settings.host_name},
      {'n', host.address},
      {'l', local_host},
      {'i', absl::StrCat(getuid())},
      {'p', absl::StrCat(settings.port)},
      {'r', settings.user},
      {'u', me.name},
      {'k', settings.host_key_alias.empty() ? host.address : settings.host_key_alias}};
  for (size_t i = 0; i < text.size(); ++i) {
    const auto token = text[i] == '%' && i + 1 < text.size() ? tokens.find(text[i + 1]) : tokens.end();
    if (token == tokens.end()) {
      out += text[i];
    } else {
      out += token->second;
      ++i;
    }
  }
  return out;
}

// In single quotes for /bin/sh.
std::string ShellQuote(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// ssh itself is the jump: its keys, agents and further jumps are its matter. BatchMode: it asks nobody anything.
std::string JumpCommand(absl::string_view jumps, const SshSettings& settings, const std::string& config) {
  const size_t comma = jumps.rfind(',');
  absl::string_view last = comma == absl::string_view::npos ? jumps : jumps.substr(comma + 1);
  std::string command = "exec ssh -T -o BatchMode=yes -o StrictHostKeyChecking=yes -o ClearAllForwardings=yes";
  if (!config.empty()) absl::StrAppend(&command, " -F ", ShellQuote(config));
  if (comma != absl::string_view::npos) absl::StrAppend(&command, " -J ", ShellQuote(jumps.substr(0, comma)));
  absl::ConsumePrefix(&last, "ssh://");
  if (const size_t at = last.rfind('@'); at != absl::string_view::npos) {
    absl::StrAppend(&command, " -l ", ShellQuote(last.substr(0, at)));
    last.remove_prefix(at + 1);
  }
  std::string host(last);
  if (const size_t colon = last.rfind(':');
      colon != absl::string_view::npos && last.back() != ']' && (last.find(':') == colon || last[0] == '[')) {
    absl::StrAppend(&command, " -p ", ShellQuote(last.substr(colon + 1)));
    host = std::string(last.substr(0, colon));
  }
  if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) host = host.substr(1, host.size() - 2);
  return absl::StrCat(command, " -W ", ShellQuote(absl::StrCat("[", settings.host_name, "]:", settings.port)), " -- ",
                      ShellQuote(host));
}

}  // namespace

SshSettings ParseSshSettings(absl::string_view output, const HostSpec& host, const std::string& config) {
  std::map<std::string, std::string> values;
  std::vector<std::string> identities;
  for (absl::string_view line : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    std::pair<std::string, std::string> entry = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    if (entry.first == "identityfile") {
      identities.push_back(entry.second);
    } else {
      values.insert(std::move(entry));
    }
  }
  const auto value = [&values](const char* key, absl::string_view fallback = "") {
    const auto found = values.find(key);
    return found == values.end() ? std::string(fallback) : found->second;
  };
  const auto unless_none = [&value](const char* key) {
    std::string text = value(key);
    return text == "none" ? std::string() : text;
  };
  const LocalUser me = WhoAmI();
  SshSettings settings;
  settings.host_name = value("hostname", host.address);
  settings.user = !host.user.empty() ? host.user : value("user", me.name);
  uint32_t port = 22;
  if (!absl::SimpleAtoi(value("port", "22"), &port)) port = 22;
  settings.port = host.port != 0 ? host.port : static_cast<uint16_t>(port);
  settings.host_key_alias = unless_none("hostkeyalias");
  settings.bind_address = unless_none("bindaddress");
  const std::string family = value("addressfamily", "any");
  settings.address_family = family == "inet" ? AF_INET : family == "inet6" ? AF_INET6 : AF_UNSPEC;
  settings.identities_only = value("identitiesonly") == "yes";
  settings.pubkey_authentication =
      value("pubkeyauthentication", "yes") != "no" && value("pubkeyauthentication", "true") != "false";
  settings.ciphers = value("ciphers");
  settings.macs = value("macs");
  settings.key_exchanges = value("kexalgorithms");
  settings.host_key_algorithms = value("hostkeyalgorithms");
  settings.pubkey_algorithms = value("pubkeyacceptedalgorithms");
  settings.identity_agent = value("identityagent");
  if (settings.identity_agent == "SSH_AUTH_SOCK") settings.identity_agent.clear();
  if (settings.identity_agent != "none") {
    settings.identity_agent = Expand(settings.identity_agent, me, host, settings);
  }
  if (identities.empty()) identities.assign(std::begin(kDefaultIdentities), std::end(kDefaultIdentities));
  for (const std::string& file : identities) {
    if (file != "none") settings.identity_files.push_back(Expand(file, me, host, settings));
  }
  std::vector<std::string> known;
  for (const char* key : {"userknownhostsfile", "globalknownhostsfile"}) {
    for (absl::string_view file : absl::StrSplit(value(key), ' ', absl::SkipEmpty())) known.emplace_back(file);
  }
  if (known.empty()) known.assign(std::begin(kDefaultKnownHosts), std::end(kDefaultKnownHosts));
  for (const std::string& file : known) {
    if (file != "none") settings.known_hosts.push_back(Expand(file, me, host, settings));
  }
  if (const std::string jumps = unless_none("proxyjump"); !jumps.empty()) {
    settings.proxy_command = JumpCommand(jumps, settings, config);
  } else if (const std::string proxy = unless_none("proxycommand"); !proxy.empty()) {
    settings.proxy_command = absl::StrCat("exec ", Expand(proxy, me, host, settings));
  }
  return settings;
}

absl::StatusOr<SshSettings> ResolveSshSettings(const HostSpec& host, const std::string& config,
                                               absl::Duration timeout) {
  if (config == "none") return ParseSshSettings("", host, config);
  std::vector<std::string> argv = {"ssh", "-G", "-T"};
  if (!config.empty()) argv.insert(argv.end(), {"-F", config});
  if (host.port != 0) argv.insert(argv.end(), {"-p", absl::StrCat(host.port)});
  if (!host.user.empty()) argv.insert(argv.end(), {"-l", host.user});
  argv.insert(argv.end(), {"--", host.address});
  absl::StatusOr<Captured> captured = RunAndCapture(argv, timeout);
  if (absl::IsNotFound(captured.status())) {
    return absl::NotFoundError(
        "no ssh program here to read ~/.ssh/config with (ssh -G): install openssh-client, or tell dtest to use no ssh "
        "configuration");
  }
  if (!captured.ok()) return captured.status();
  if (captured->wait_status != 0) {
    return absl::FailedPreconditionError(absl::StrCat("ssh cannot read its configuration for ", host.address, ": ",
                                                      Quote(captured->err), "; try: ", absl::StrJoin(argv, " ")));
  }
  return ParseSshSettings(captured->out, host, config);
}

}  // namespace dtest
