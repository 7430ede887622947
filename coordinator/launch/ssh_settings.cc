#include "coordinator/launch/ssh_settings.h"

#include <netinet/in.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
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

std::string HomeOf(const std::string& name) {
  passwd entry;
  passwd* found = nullptr;
  char buffer[4096];
  if (getpwnam_r(name.c_str(), &entry, buffer, sizeof(buffer), &found) != 0 || found == nullptr) return "~" + name;
  return found->pw_dir;
}

// Expands what ssh_config(5) names under TOKENS and ENVIRONMENT VARIABLES, and a leading ~. Remembers the first
// variable that is not set: ssh refuses such a configuration, too.
class Expander {
 public:
  // `connection`: %C, as ssh says; `jump`: %j.
  Expander(const LocalUser& me, const HostSpec& host, const SshSettings& settings, std::string connection,
           std::string jump)
      : home_(me.home) {
    char local_host[256] = "";
    gethostname(local_host, sizeof(local_host) - 1);
    const std::string local(local_host);
    tokens_ = {{'%', "%"},
               {'C', std::move(connection)},
               {'j', std::move(jump)},
               {'d', me.home},
               {'h', settings.host_name},
               {'n', host.address},
               {'l', local},
               {'L', local.substr(0, local.find('.'))},
               {'i', absl::StrCat(getuid())},
               {'p', absl::StrCat(settings.port)},
               {'r', settings.user},
               {'u', me.name},
               {'k', settings.host_key_alias.empty() ? host.address : settings.host_key_alias}};
  }

  // Of a command: ssh expands no variables there, the shell does.
  std::string Command(absl::string_view text) const {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (!Token(text, &i, &out)) out += text[i];
    }
    return out;
  }

  std::string File(absl::string_view text) {
    std::string out;
    if (absl::ConsumePrefix(&text, "~")) {
      const std::string name(text.substr(0, text.find('/')));
      out = name.empty() ? home_ : HomeOf(name);
      text.remove_prefix(name.size());
    }
    for (size_t i = 0; i < text.size(); ++i) {
      if (!Token(text, &i, &out) && !Variable(text, &i, &out)) out += text[i];
    }
    return out;
  }

  const std::string& unset() const { return unset_; }

 private:
  // Leaves `i` at the last character of what it has expanded.
  bool Token(absl::string_view text, size_t* i, std::string* out) const {
    const auto token = text[*i] == '%' && *i + 1 < text.size() ? tokens_.find(text[*i + 1]) : tokens_.end();
    if (token == tokens_.end()) return false;
    *out += token->second;
    ++*i;
    return true;
  }

  bool Variable(absl::string_view text, size_t* i, std::string* out) {
    const size_t end = text.find('}', *i);
    if (!absl::StartsWith(text.substr(*i), "${") || end == absl::string_view::npos) return false;
    const std::string name(text.substr(*i + 2, end - *i - 2));
    const char* value = std::getenv(name.c_str());
    if (value == nullptr && unset_.empty()) unset_ = name;
    *out += value == nullptr ? "" : value;
    *i = end;
    return true;
  }

  const std::string home_;
  std::map<char, std::string> tokens_;
  std::string unset_;
};

// `ssh -G` prints several files on one line and quotes none, so that a name with spaces looks like several. A word that
// does not begin as a name of a file outside the current directory does goes on with the one before it.
std::vector<std::string> SplitFiles(absl::string_view line) {
  std::vector<std::string> files;
  for (absl::string_view word : absl::StrSplit(line, ' ')) {
    const bool begins = !word.empty() && absl::StrContains("/~%$", word.substr(0, 1));
    if (files.empty() || begins || word == "none") {
      files.emplace_back(word);
    } else {
      absl::StrAppend(&files.back(), " ", word);
    }
  }
  std::erase(files, "");
  return files;
}

// In single quotes for /bin/sh.
std::string ShellQuote(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// The last one of ProxyJump, which connects to the host.
struct Jump {
  std::string before;  // those that lead to it
  std::string user, host, port;
};

Jump LastJump(absl::string_view jumps) {
  Jump jump;
  absl::string_view last = jumps;
  if (const size_t comma = jumps.rfind(','); comma != absl::string_view::npos) {
    jump.before = std::string(jumps.substr(0, comma));
    last.remove_prefix(comma + 1);
  }
  absl::ConsumePrefix(&last, "ssh://");
  if (const size_t at = last.rfind('@'); at != absl::string_view::npos) {
    jump.user = std::string(last.substr(0, at));
    last.remove_prefix(at + 1);
  }
  jump.host = std::string(last);
  if (const size_t colon = last.rfind(':');
      colon != absl::string_view::npos && last.back() != ']' && (last.find(':') == colon || last[0] == '[')) {
    jump.port = std::string(last.substr(colon + 1));
    jump.host = std::string(last.substr(0, colon));
  }
  if (absl::StartsWith(jump.host, "[") && absl::EndsWith(jump.host, "]")) {
    jump.host = jump.host.substr(1, jump.host.size() - 2);
  }
  return jump;
}

// ssh itself is the jump: its keys, agents and further jumps are its matter. BatchMode: it asks nobody anything.
std::string JumpCommand(const Jump& jump, const SshSettings& settings, const std::string& config) {
  std::string command = "exec ssh -T -o BatchMode=yes -o StrictHostKeyChecking=yes -o ClearAllForwardings=yes";
  if (!config.empty()) absl::StrAppend(&command, " -F ", ShellQuote(config));
  if (!jump.before.empty()) absl::StrAppend(&command, " -J ", ShellQuote(jump.before));
  if (!jump.user.empty()) absl::StrAppend(&command, " -l ", ShellQuote(jump.user));
  if (!jump.port.empty()) absl::StrAppend(&command, " -p ", ShellQuote(jump.port));
  return absl::StrCat(command, " -W ", ShellQuote(absl::StrCat("[", settings.host_name, "]:", settings.port)), " -- ",
                      ShellQuote(jump.host));
}

}  // namespace

absl::StatusOr<SshSettings> ParseSshSettings(absl::string_view output, const HostSpec& host,
                                             const std::string& config) {
  std::map<std::string, std::string> values;
  std::vector<std::string> identities;
  std::vector<std::string> certificates;
  for (absl::string_view line : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    std::pair<std::string, std::string> entry = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    if (entry.first == "identityfile") {
      identities.push_back(entry.second);
    } else if (entry.first == "certificatefile") {
      certificates.push_back(entry.second);
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
  settings.known_hosts_command = unless_none("knownhostscommand");
  const std::string jumps = unless_none("proxyjump");
  const Jump jump = LastJump(jumps);
  Expander expander(me, host, settings, value("controlpath"), jump.host);
  std::string agent = value("identityagent");
  if (agent == "SSH_AUTH_SOCK") agent.clear();
  if (absl::StartsWith(agent, "$") && !absl::StartsWith(agent, "${")) {
    // The name of a variable that holds the socket's; not set: there is no agent.
    const char* socket = std::getenv(agent.c_str() + 1);
    agent = socket == nullptr || *socket == '\0' ? "none" : socket;
  } else if (agent != "none") {
    agent = expander.File(agent);
  }
  settings.identity_agent = std::move(agent);
  if (identities.empty()) identities.assign(std::begin(kDefaultIdentities), std::end(kDefaultIdentities));
  for (const std::string& file : identities) {
    if (file != "none") settings.identity_files.push_back(expander.File(file));
  }
  for (const std::string& file : certificates) {
    if (file != "none") settings.certificate_files.push_back(expander.File(file));
  }
  std::vector<std::string> known;
  for (const char* key : {"userknownhostsfile", "globalknownhostsfile"}) {
    for (std::string& file : SplitFiles(value(key))) known.push_back(std::move(file));
  }
  if (known.empty()) known.assign(std::begin(kDefaultKnownHosts), std::end(kDefaultKnownHosts));
  for (const std::string& file : known) {
    if (file != "none") settings.known_hosts.push_back(expander.File(file));
  }
  if (!expander.unset().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the ssh configuration of ", host.address, " names ${", expander.unset(),
                     "}, and that variable is not set here: set it, or name the file"));
  }
  if (!jumps.empty()) {
    settings.proxy_command = JumpCommand(jump, settings, config);
  } else if (const std::string proxy = unless_none("proxycommand"); !proxy.empty()) {
    settings.proxy_command = absl::StrCat("exec ", expander.Command(proxy));
  }
  return settings;
}

absl::StatusOr<SshSettings> ResolveSshSettings(const HostSpec& host, const std::string& config,
                                               absl::Duration timeout) {
  if (config == "none") return ParseSshSettings("", host, config);
  // What %C is depends on ssh's version: it expands it in ControlPath, which is of no other use here.
  std::vector<std::string> argv = {"ssh", "-G", "-T", "-o", "ControlPath=%C"};
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
