#include "agent/frameworks/xml_stream.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace dtest {
namespace {

constexpr size_t kLongestEntity = 10;
constexpr absl::string_view kBlanks = " \t\r\n";

// "&lt;", "&#10;"; of characters only those that are one byte. Empty: it is none that is known.
std::string Decode(absl::string_view entity) {
  if (entity == "&lt;") return "<";
  if (entity == "&gt;") return ">";
  if (entity == "&amp;") return "&";
  if (entity == "&quot;") return "\"";
  if (entity == "&apos;") return "'";
  uint32_t code = 0;
  if (!absl::ConsumePrefix(&entity, "&#") || !absl::ConsumeSuffix(&entity, ";")) return "";
  const bool is_number =
      absl::ConsumePrefix(&entity, "x") ? absl::SimpleHexAtoi(entity, &code) : absl::SimpleAtoi(entity, &code);
  return is_number && code < 0x80 ? std::string(1, static_cast<char>(code)) : "";
}

std::string DecodeAll(absl::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    const size_t entity = std::min(text.find('&'), text.size());
    decoded.append(text.data(), entity);
    text.remove_prefix(entity);
    if (text.empty()) break;
    const size_t end = text.find(';');
    const std::string character = end <= kLongestEntity ? Decode(text.substr(0, end + 1)) : "";
    decoded.append(character.empty() ? "&" : character);
    text.remove_prefix(character.empty() ? 1 : end + 1);
  }
  return decoded;
}

void SkipBlanks(absl::string_view* text) {
  text->remove_prefix(std::min(text->find_first_not_of(kBlanks), text->size()));
}

}  // namespace

absl::string_view XmlAttribute(const XmlStream::Attributes& attributes, absl::string_view name) {
  for (const auto& [key, value] : attributes) {
    if (key == name) return value;
  }
  return "";
}

void XmlStream::Feed(absl::string_view bytes, Handler* handler) {
  while (!bytes.empty() && problem_.empty()) {
    if (state_ == State::kText) {
      FeedText(&bytes, handler);
      continue;
    }
    const char c = bytes.front();
    bytes.remove_prefix(1);
    if (state_ == State::kEntity) {
      FeedEntity(c, handler);
    } else {
      FeedTag(c, handler);
    }
  }
}

void XmlStream::FeedText(absl::string_view* bytes, Handler* handler) {
  const size_t end = std::min(bytes->find_first_of("<&"), bytes->size());
  if (end > 0) {
    const absl::string_view text = bytes->substr(0, end);
    if (!open_.empty()) {
      handler->OnText(text);
    } else if (text.find_first_not_of(kBlanks) != absl::string_view::npos) {
      return Fail(absl::StrCat("'", text.substr(0, 40), "' stands outside of the document"));
    }
  }
  bytes->remove_prefix(end);
  if (bytes->empty()) return;
  state_ = bytes->front() == '<' ? State::kTag : State::kEntity;
  tag_.assign(1, bytes->front());
  quote_ = '\0';
  bytes->remove_prefix(1);
}

void XmlStream::FeedEntity(char c, Handler* handler) {
  tag_.push_back(c);
  if (c != ';' && tag_.size() < kLongestEntity) return;
  const std::string character = Decode(tag_);
  if (character.empty()) return Fail(absl::StrCat("'", tag_, "' is no character"));
  handler->OnText(character);
  state_ = State::kText;
}

void XmlStream::FeedTag(char c, Handler* handler) {
  tag_.push_back(c);
  if (tag_.size() > kLongestTag) return Fail("a tag is too long");
  const bool comment = absl::StartsWith(tag_, "<!");
  if (!comment && (c == '"' || c == '\'')) {
    if (quote_ == '\0') {
      quote_ = c;
    } else if (quote_ == c) {
      quote_ = '\0';
    }
  }
  if (c != '>' || quote_ != '\0') return;
  if (absl::StartsWith(tag_, "<!--") && !absl::EndsWith(tag_, "-->")) return;
  state_ = State::kText;
  if (!comment && tag_[1] != '?') Tag(handler);
}

void XmlStream::Tag(Handler* handler) {
  absl::string_view tag = absl::string_view(tag_).substr(1, tag_.size() - 2);
  if (absl::ConsumePrefix(&tag, "/")) {
    tag = tag.substr(0, tag.find_last_not_of(kBlanks) + 1);
    if (open_.empty() || open_.back() != tag) {
      return Fail(absl::StrCat("</", tag, "> where ", open_.empty() ? "nothing" : open_.back(), " is open"));
    }
    handler->OnEnd(tag);
    open_.pop_back();
    return;
  }
  const bool closed = absl::ConsumeSuffix(&tag, "/");
  const absl::string_view name = tag.substr(0, tag.find_first_of(kBlanks));
  if (name.empty() || (any_ && open_.empty())) {
    return Fail(absl::StrCat("<", tag.substr(0, 40), "> stands where nothing may begin"));
  }
  tag.remove_prefix(name.size());
  Attributes attributes;
  for (SkipBlanks(&tag); !tag.empty(); SkipBlanks(&tag)) {
    if (!TakeAttribute(&tag, &attributes)) return;
  }
  any_ = true;
  open_.emplace_back(name);
  handler->OnStart(name, attributes);
  if (!closed) return;
  handler->OnEnd(name);
  open_.pop_back();
}

bool XmlStream::TakeAttribute(absl::string_view* tag, Attributes* attributes) {
  const size_t equals = tag->find('=');
  const bool has_value = equals != absl::string_view::npos && equals > 0 && equals + 1 < tag->size() &&
                         ((*tag)[equals + 1] == '"' || (*tag)[equals + 1] == '\'');
  const size_t end = has_value ? tag->find((*tag)[equals + 1], equals + 2) : absl::string_view::npos;
  if (end == absl::string_view::npos) {
    Fail(absl::StrCat("'", tag->substr(0, 40), "' is no attribute"));
    return false;
  }
  attributes->emplace_back(tag->substr(0, equals), DecodeAll(tag->substr(equals + 2, end - equals - 2)));
  tag->remove_prefix(end + 1);
  return true;
}

void XmlStream::Fail(absl::string_view what) { problem_ = std::string(what); }

}  // namespace dtest
