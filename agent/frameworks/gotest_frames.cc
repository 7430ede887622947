#include "agent/frameworks/gotest_frames.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

using Kind = GoFrame::Kind;

constexpr char kMarker = 0x16;
constexpr std::pair<absl::string_view, Kind> kUpdates[] = {
    {"=== RUN ", Kind::kRun},   {"=== PAUSE ", Kind::kPause}, {"=== CONT ", Kind::kCont},
    {"=== NAME ", Kind::kName}, {"=== ATTR ", Kind::kAttr},   {"=== ARTIFACTS ", Kind::kArtifacts}};
constexpr std::pair<absl::string_view, Kind> kVerdicts[] = {
    {"--- PASS: ", Kind::kPass}, {"--- FAIL: ", Kind::kFail}, {"--- SKIP: ", Kind::kSkip}};

// "TestA (0.01s)": names have no blanks.
std::optional<GoFrame> Verdict(absl::string_view line, Kind kind) {
  GoFrame frame{.kind = kind};
  const size_t blank = line.find(' ');
  if (blank == 0 || blank == absl::string_view::npos) return std::nullopt;
  frame.test = line.substr(0, blank);
  line.remove_prefix(blank);
  double seconds = 0;
  if (!absl::ConsumePrefix(&line, " (") || !absl::ConsumeSuffix(&line, "s)") || !absl::SimpleAtod(line, &seconds) ||
      !(seconds >= 0 && seconds < 1e9)) {
    return std::nullopt;
  }
  frame.took = absl::Seconds(seconds);
  return frame;
}

}  // namespace

std::optional<GoFrame> ParseGoFrame(absl::string_view line) {
  line = absl::StripSuffix(line, "\r");
  if (line == "PASS" || line == "FAIL") return GoFrame{.kind = Kind::kEnd};
  for (const auto& [prefix, kind] : kUpdates) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, prefix)) continue;
    rest = absl::StripLeadingAsciiWhitespace(rest);
    const size_t blank = std::min(rest.find(' '), rest.size());
    const bool more = kind == Kind::kAttr || kind == Kind::kArtifacts;
    if (blank < rest.size() && !more) return std::nullopt;
    GoFrame frame{.kind = kind, .test = rest.substr(0, blank)};
    if (more) frame.text = rest.substr(std::min(blank + 1, rest.size()));
    return frame;
  }
  line = absl::StripLeadingAsciiWhitespace(line);
  for (const auto& [prefix, kind] : kVerdicts) {
    if (absl::ConsumePrefix(&line, prefix)) return Verdict(line, kind);
  }
  return std::nullopt;
}

void GoFrames::Feed(absl::string_view bytes, Handler* handler) {
  marked_ ? FeedMarked(bytes, handler) : FeedLines(bytes, handler);
}

void GoFrames::FeedMarked(absl::string_view bytes, Handler* handler) {
  while (!bytes.empty()) {
    if (unread_.empty()) {
      const absl::string_view text = bytes.substr(0, bytes.find(kMarker));
      if (!text.empty()) handler->OnText(text);
      bytes.remove_prefix(text.size());
      if (bytes.empty()) return;
      unread_ = std::string(bytes.substr(0, 1));
      bytes.remove_prefix(1);
      continue;
    }
    // To its line feed, or to another marker: then this one was printed by somebody else.
    const size_t end = bytes.find_first_of(absl::string_view("\n\x16"));
    const bool whole = end != absl::string_view::npos && bytes[end] == '\n';
    const absl::string_view part = bytes.substr(0, end);
    unread_.append(part.data(), part.size());
    bytes.remove_prefix(part.size() + (whole ? 1 : 0));
    if (end == absl::string_view::npos && unread_.size() <= kLongestFrame) return;
    const std::string line = std::exchange(unread_, std::string());
    const auto frame = whole ? ParseGoFrame(absl::string_view(line).substr(1)) : std::nullopt;
    if (frame.has_value() && handler->OnFrame(*frame)) continue;
    handler->OnText(line);
    if (whole) handler->OnText("\n");
  }
}

void GoFrames::FeedLines(absl::string_view bytes, Handler* handler) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const absl::string_view part = bytes.substr(0, end == absl::string_view::npos ? end : end + 1);
    bytes.remove_prefix(part.size());
    unread_.append(part.data(), part.size());
    if (end != absl::string_view::npos) {
      Line(std::exchange(unread_, std::string()), handler);
      in_line_ = false;
    } else if (unread_.size() > kLongestFrame) {
      handler->OnText(unread_);
      unread_.clear();
      in_line_ = true;
    }
  }
}

void GoFrames::Line(absl::string_view line, Handler* handler) {
  const absl::string_view bare = absl::StripSuffix(line, "\n");
  const auto frame_or_text = [handler](const GoFrame& frame, absl::string_view its_line) {
    if (!handler->OnFrame(frame)) handler->OnText(its_line);
  };
  if (!in_line_) {
    const auto frame = ParseGoFrame(bare);
    if (frame.has_value()) return frame_or_text(*frame, line);
  }
  // Behind what a test has printed without a line feed.
  for (const auto& [prefix, kind] : kVerdicts) {
    const size_t at = bare.rfind(prefix);
    if (at == absl::string_view::npos) continue;
    const auto frame = ParseGoFrame(bare.substr(at));
    if (!frame.has_value()) continue;
    handler->OnText(bare.substr(0, at));
    return frame_or_text(*frame, line.substr(at));
  }
  handler->OnText(line);
}

void GoFrames::End(Handler* handler) {
  if (!unread_.empty()) handler->OnText(std::exchange(unread_, std::string()));
  in_line_ = false;
}

}  // namespace dtest
