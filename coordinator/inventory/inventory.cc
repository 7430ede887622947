#include "coordinator/inventory/inventory.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "coordinator/inventory/host_range.h"

namespace dtest {
namespace {

constexpr absl::string_view kScheme = "ssh://";
constexpr size_t kMostBytes = 16 << 20;  // of a hosts file

struct Word {
  size_t column = 0;                  // 1-based
  std::string text;                   // quotes and escapes resolved
  size_t equals = std::string::npos;  // of the first '=' outside quotes
};

class LineParser {
 public:
  LineParser(absl::string_view line, int number, absl::string_view source)
      : line_(line), number_(number), source_(source) {}

  // Appends the line's hosts: none for an empty or comment line.
  absl::Status Parse(std::vector<HostSpec>* hosts) {
    if (absl::Status status = SplitWords(); !status.ok()) return status;
    if (words_.empty()) return absl::OkStatus();
    HostSpec spec;
    spec.line = number_;
    for (size_t i = 1; i < words_.size(); ++i) {
      if (absl::Status status = ParseKey(words_[i], &spec); !status.ok()) return status;
    }
    return ParseName(words_[0], spec, hosts);
  }

 private:
  absl::Status Error(size_t column, absl::string_view what) const {
    const std::string where =
        number_ > 0 ? absl::StrCat(source_, ":", number_, ":", column) : absl::StrCat(source_, " ", line_);
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", what));
  }

  absl::Status SplitWords() {
    size_t i = 0;
    while (true) {
      while (i < line_.size() && (line_[i] == ' ' || line_[i] == '\t')) ++i;
      if (i == line_.size() || line_[i] == '#') return absl::OkStatus();
      Word word;
      word.column = i + 1;
      if (absl::Status status = ReadWord(&i, &word); !status.ok()) return status;
      words_.push_back(std::move(word));
    }
  }

  absl::Status ReadWord(size_t* at, Word* word) {
    size_t quote = 0;  // column of the open quote, 0 outside
    size_t& i = *at;
    for (; i < line_.size(); ++i) {
      const char c = line_[i];
      if (absl::ascii_iscntrl(c) && c != '\t') {
        return Error(i + 1, absl::StrFormat("control character 0x%02x: remove it (is this a text file?)",
                                            static_cast<unsigned char>(c)));
      }
      if (c == '"') {
        quote = quote == 0 ? i + 1 : 0;
      } else if (quote != 0 && c == '\\') {
        if (i + 1 == line_.size() || (line_[i + 1] != '"' && line_[i + 1] != '\\')) {
          return Error(i + 1, "'\\' inside quotes: only \\\" and \\\\ are escapes; double it to mean itself");
        }
        word->text += line_[++i];
      } else if (quote == 0 && (c == ' ' || c == '\t')) {
        break;
      } else {
        if (c == '=' && quote == 0 && word->equals == std::string::npos) word->equals = word->text.size();
        word->text += c;
      }
    }
    if (quote != 0) return Error(quote, "quote without end: close it with '\"' on the same line");
    return absl::OkStatus();
  }

  absl::Status ParseKey(const Word& word, HostSpec* spec) {
    if (word.equals == std::string::npos) {
      return Error(word.column, absl::StrCat("'", word.text,
                                             "': expected key=value after the host; one host a line, comments begin "
                                             "with '#', values with spaces go in double quotes"));
    }
    const absl::string_view text = word.text;
    const absl::string_view key = text.substr(0, word.equals);
    const absl::string_view value = text.substr(word.equals + 1);
    for (absl::string_view seen : keys_) {
      if (seen == key) return Error(word.column, absl::StrCat(key, "= is given twice: keep one"));
    }
    keys_.push_back(key);
    if (key == "slots") return ParseSlots(word.column, value, spec);
    if (key == "tags") return ParseTags(word.column, value, spec);
    if (key == "command") {
      if (absl::StripAsciiWhitespace(value).empty()) {
        return Error(word.column, "command= is empty: give the command that reaches the host, in double quotes");
      }
      spec->kind = HostSpec::Kind::kCommand;
      spec->command = std::string(value);
      return absl::OkStatus();
    }
    return Error(word.column, absl::StrCat("unknown key '", key, "': the keys are slots=, tags= and command="));
  }

  absl::Status ParseSlots(size_t column, absl::string_view value, HostSpec* spec) {
    constexpr uint32_t kMaxSlots = 65536;
    uint32_t slots = 0;
    bool digits = !value.empty() && value.size() <= 9;
    for (char c : value) digits = digits && absl::ascii_isdigit(c);
    if (!digits || !absl::SimpleAtoi(value, &slots) || slots > kMaxSlots) {
      return Error(
          column, absl::StrCat("slots=", value, ": not a number of slots; write a whole number from 1 to ", kMaxSlots));
    }
    if (slots == 0) {
      return Error(column, "slots=0: a host needs at least one slot; leave slots= out to use all its cores");
    }
    spec->slots = slots;
    return absl::OkStatus();
  }

  absl::Status ParseTags(size_t column, absl::string_view value, HostSpec* spec) {
    for (absl::string_view tag : absl::StrSplit(value, ',')) {
      if (tag.empty()) return Error(column, absl::StrCat("tags=", value, ": empty tag; write tags=one,two"));
      spec->tags.emplace_back(tag);
    }
    return absl::OkStatus();
  }

  // [ssh://][user@]host[:port][/]; the host may hold ranges or be a bracketed IPv6 address.
  absl::Status ParseName(const Word& word, HostSpec spec, std::vector<HostSpec>* hosts) {
    absl::string_view rest = word.text;
    size_t column = word.column;
    if (word.equals != std::string::npos) {
      return Error(column, absl::StrCat("'", word.text, "': a line begins with a host, then key=value"));
    }
    const bool url = absl::StartsWithIgnoreCase(rest, kScheme);
    if (url) {
      rest.remove_prefix(kScheme.size());
      column += kScheme.size();
      absl::ConsumeSuffix(&rest, "/");
      if (spec.kind == HostSpec::Kind::kCommand) {
        return Error(word.column, "a host with command= is not reached by ssh: leave ssh:// out");
      }
    } else if (const size_t colon = rest.find("://"); colon != absl::string_view::npos) {
      return Error(column, absl::StrCat("'", rest.substr(0, colon), "://': hosts are reached by ssh; write host, or ",
                                        "ssh://user@host:port, or give a command="));
    }
    if (url && rest == "local") {
      return Error(column, "local is this machine, reached without ssh: leave ssh:// out, or use another name of it");
    }
    if (const size_t at = rest.rfind('@'); at != absl::string_view::npos) {
      spec.user = std::string(rest.substr(0, at));
      if (spec.user.empty()) return Error(column, "empty user before '@': write user@host, or just host");
      if (spec.user[0] == '-') return Error(column, absl::StrCat("user '", spec.user, "' begins with '-'"));
      rest.remove_prefix(at + 1);
      column += at + 1;
    }
    std::vector<std::string> addresses;
    absl::string_view port_text;
    bool has_port = false;
    const size_t close = rest.find(']');
    if (absl::StartsWith(rest, "[") && rest.substr(0, close).find(':') != absl::string_view::npos) {
      if (close == absl::string_view::npos) return Error(column, "IPv6 address without ']': write [::1] or [::1]:2222");
      addresses.emplace_back(rest.substr(1, close - 1));
      absl::string_view after = rest.substr(close + 1);
      has_port = absl::ConsumePrefix(&after, ":");
      if (!has_port && !after.empty()) {
        return Error(column + close + 1, absl::StrCat("'", after, "' after an IPv6 address: only :port may follow"));
      }
      port_text = after;
    } else {
      const size_t colon = rest.find(':');
      if (colon != rest.rfind(':')) {
        return Error(column, absl::StrCat("'", rest, "' looks like an IPv6 address: put it in brackets, like [::1]"));
      }
      has_port = colon != absl::string_view::npos;
      if (has_port) port_text = rest.substr(colon + 1);
      RangeError error;
      if (!ExpandRanges(rest.substr(0, colon), kMaxHosts, &addresses, &error)) {
        return Error(column + error.offset, error.what);
      }
    }
    uint32_t port = 0;
    if (has_port && (port_text.size() > 5 || !absl::SimpleAtoi(port_text, &port) || port == 0 || port > 65535)) {
      return Error(column + (port_text.data() - rest.data()),
                   absl::StrCat("bad port '", port_text, "': write a number from 1 to 65535"));
    }
    spec.port = static_cast<uint16_t>(port);
    if (addresses.front().empty()) return Error(column, "empty host name");
    if (addresses.front()[0] == '-') {
      return Error(column, absl::StrCat("host '", addresses.front(), "' begins with '-': is this an option?"));
    }
    return AddHosts(word.column, std::move(spec), addresses, hosts);
  }

  absl::Status AddHosts(size_t column, HostSpec spec, const std::vector<std::string>& addresses,
                        std::vector<HostSpec>* hosts) {
    if (addresses.front() == "local") {
      if (!spec.user.empty() || spec.port != 0) {
        return Error(column, "local is this machine, reached without ssh: it takes no user or port");
      }
      if (spec.kind == HostSpec::Kind::kCommand) {
        return Error(column, "local is this machine: it takes no command=; give the host another name");
      }
      spec.kind = HostSpec::Kind::kLocal;
    }
    if (spec.kind == HostSpec::Kind::kCommand && (!spec.user.empty() || spec.port != 0)) {
      return Error(column, "a host with command= is not reached by ssh: it takes no user or port");
    }
    for (const std::string& address : addresses) {
      hosts->push_back(spec);
      hosts->back().address = address;
      hosts->back().name = address;
    }
    if (hosts->size() > kMaxHosts) {
      return Error(column, absl::StrCat("more than ", kMaxHosts, " hosts in all: is a range too large?"));
    }
    return absl::OkStatus();
  }

  const absl::string_view line_;
  const int number_;
  const absl::string_view source_;
  std::vector<Word> words_;
  std::vector<absl::string_view> keys_;
};

}  // namespace

absl::Status NameHosts(absl::string_view source, std::vector<HostSpec>* hosts) {
  struct Seen {
    const HostSpec* first = nullptr;
    bool several_ports = false;
  };
  absl::flat_hash_map<std::string, const HostSpec*> by_address_and_port;
  absl::flat_hash_map<std::string, Seen> by_address;
  for (const HostSpec& host : *hosts) {
    // Port 22 and no port at all may differ through ~/.ssh/config, so only what is written counts.
    const auto [it, fresh] = by_address_and_port.try_emplace(absl::StrCat(host.address, " ", host.port), &host);
    if (!fresh) {
      const std::string where = host.line > 0 ? absl::StrCat(source, ":", host.line, ":1") : std::string(source);
      const std::string first = it->second->line == 0           ? "on the command line"
                                : it->second->line == host.line ? "earlier in the same line"
                                                                : absl::StrCat("in line ", it->second->line);
      return absl::InvalidArgumentError(absl::StrCat(where, ": host '", host.address, "' is already ", first,
                                                     ": a host is listed once; use slots= to give it more work"));
    }
    Seen& seen = by_address[host.address];
    if (seen.first == nullptr) seen.first = &host;
    seen.several_ports = seen.several_ports || seen.first->port != host.port;
  }
  for (HostSpec& host : *hosts) {
    host.name = host.address;
    if (!by_address[host.address].several_ports || host.port == 0) continue;
    const bool ipv6 = host.address.find(':') != std::string::npos;
    host.name = ipv6 ? absl::StrCat("[", host.address, "]:", host.port) : absl::StrCat(host.address, ":", host.port);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<HostSpec>> ParseInventory(absl::string_view text, absl::string_view file_name) {
  absl::ConsumePrefix(&text, "\xef\xbb\xbf");
  std::vector<HostSpec> hosts;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::ConsumeSuffix(&line, "\r");
    if (absl::Status status = LineParser(line, ++number, file_name).Parse(&hosts); !status.ok()) return status;
  }
  if (hosts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_name, ":1:1: no hosts: write one host a line, or leave --hosts out to use this machine"));
  }
  if (absl::Status status = NameHosts(file_name, &hosts); !status.ok()) return status;
  return hosts;
}

absl::StatusOr<std::vector<HostSpec>> LoadInventory(const std::string& path) {
  // stdio, not a stream: reading a directory makes a filebuf throw.
  std::string text;
  int error = 0;
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    error = errno;
  } else {
    char buffer[8192];
    while (const size_t got = std::fread(buffer, 1, sizeof(buffer), file)) {
      text.append(buffer, got);
      if (text.size() > kMostBytes) break;
    }
    if (std::ferror(file)) error = errno;
    std::fclose(file);
  }
  if (error != 0) {
    return absl::Status(absl::ErrnoToStatusCode(error),
                        absl::StrCat("cannot read the hosts file ", path, ": ", std::strerror(error)));
  }
  if (text.size() > kMostBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the hosts file ", path, " has more than ", kMostBytes >> 20, " MiB: is it a list of hosts?"));
  }
  return ParseInventory(text, path);
}

absl::StatusOr<std::vector<HostSpec>> ParseHost(absl::string_view argument) {
  std::vector<HostSpec> hosts;
  if (absl::Status status = LineParser(argument, 0, "--host").Parse(&hosts); !status.ok()) return status;
  if (hosts.empty()) return absl::InvalidArgumentError("--host: empty: give a host as in a hosts file");
  if (absl::Status status = NameHosts("--host", &hosts); !status.ok()) return status;
  return hosts;
}

}  // namespace dtest
