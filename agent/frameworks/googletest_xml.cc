#include "agent/frameworks/googletest_xml.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

// Undoes XmlUnitTestResultPrinter::EscapeXml.
std::string Unescape(absl::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const size_t ampersand = text.find('&');
    plain.append(text.data(), std::min(ampersand, text.size()));
    if (ampersand == absl::string_view::npos) break;
    text.remove_prefix(ampersand);
    const size_t semicolon = text.find(';');
    const absl::string_view entity = text.substr(0, semicolon == absl::string_view::npos ? 1 : semicolon + 1);
    text.remove_prefix(entity.size());
    uint32_t code = 0;
    if (entity == "&lt;") {
      plain += '<';
    } else if (entity == "&gt;") {
      plain += '>';
    } else if (entity == "&amp;") {
      plain += '&';
    } else if (entity == "&apos;") {
      plain += '\'';
    } else if (entity == "&quot;") {
      plain += '"';
    } else if (absl::StartsWith(entity, "&#x") && absl::SimpleHexAtoi(entity.substr(3, entity.size() - 4), &code) &&
               code < 0x80) {
      plain += static_cast<char>(code);
    } else {
      plain.append(entity.data(), entity.size());
    }
  }
  return plain;
}

// The value of an attribute of a start tag; empty if it has none.
std::string Attribute(absl::string_view tag, absl::string_view key) {
  const std::string start = absl::StrCat(" ", key, "=\"");
  const size_t begin = tag.find(start);
  if (begin == absl::string_view::npos) return "";
  tag.remove_prefix(begin + start.size());
  return Unescape(tag.substr(0, tag.find('"')));
}

GoogleTestXmlCase StartCase(absl::string_view tag) {
  GoogleTestXmlCase test;
  test.name = absl::StrCat(Attribute(tag, "classname"), ".", Attribute(tag, "name"));
  // A case that never began has the epoch for its start: 1970 or, west of Greenwich, 1969.
  const std::string timestamp = Attribute(tag, "timestamp");
  test.ran = Attribute(tag, "status") == "run" && !timestamp.empty() && !absl::StartsWith(timestamp, "1970-01-01") &&
             !absl::StartsWith(timestamp, "1969-12-31");
  if (Attribute(tag, "result") == "skipped") test.outcome = Outcome::kSkipped;
  double seconds = 0;
  if (absl::SimpleAtod(Attribute(tag, "time"), &seconds) && seconds > 0) test.duration = absl::Seconds(seconds);
  return test;
}

}  // namespace

bool HasGoogleTestProperties(absl::string_view xml) { return absl::StrContains(xml, "<property "); }

std::vector<GoogleTestXmlCase> ParseGoogleTestXml(absl::string_view xml) {
  std::vector<GoogleTestXmlCase> cases;
  bool inside = false;  // of cases.back()
  for (size_t at = xml.find('<'); at != absl::string_view::npos; at = xml.find('<')) {
    xml.remove_prefix(at);
    const bool is_text = absl::StartsWith(xml, "<![CDATA[");
    const size_t end = xml.find(is_text ? "]]>" : ">");  // escaped in attributes
    if (end == absl::string_view::npos) break;
    const absl::string_view tag = xml.substr(0, end);
    xml.remove_prefix(end + (is_text ? 3 : 1));
    if (absl::StartsWith(tag, "<testcase ")) {
      cases.push_back(StartCase(tag));
      inside = tag.back() != '/';
    } else if (!inside) {
      continue;
    } else if (tag == "</testcase") {
      inside = false;
    } else if (absl::StartsWith(tag, "<property ")) {
      cases.back().properties.emplace_back(Attribute(tag, "name"), Attribute(tag, "value"));
    } else if (absl::StartsWith(tag, "<failure ")) {
      std::string& message = cases.back().message;
      if (std::exchange(cases.back().outcome, Outcome::kFailed) != Outcome::kFailed) message.clear();
      absl::StrAppend(&message, message.empty() ? "" : "\n", Attribute(tag, "message"));
    } else if (absl::StartsWith(tag, "<skipped ") && cases.back().message.empty()) {
      cases.back().message = Attribute(tag, "message");
    }
  }
  return cases;
}

}  // namespace dtest
