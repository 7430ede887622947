#include "coordinator/report/xml_text.h"

#include <cstddef>

namespace dtest {
namespace {

// The entity for `c`; null: it stands for itself.
const char* TextEntity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    default:
      return nullptr;
  }
}

const char* AttributeEntity(char c) {
  switch (c) {
    case '"':
      return "&quot;";
    case '\n':
      return "&#10;";
    case '\t':
      return "&#9;";
    default:
      return TextEntity(c);
  }
}

template <typename Entity>
void AppendEscaped(absl::string_view clean, Entity entity_of, std::string* out) {
  size_t copied = 0;
  for (size_t i = 0; i < clean.size(); ++i) {
    const char* entity = entity_of(clean[i]);
    if (entity == nullptr) continue;
    out->append(clean.data() + copied, i - copied);
    *out += entity;
    copied = i + 1;
  }
  out->append(clean.data() + copied, clean.size() - copied);
}

}  // namespace

void AppendXmlText(absl::string_view clean, std::string* out) { AppendEscaped(clean, TextEntity, out); }
void AppendXmlAttribute(absl::string_view clean, std::string* out) { AppendEscaped(clean, AttributeEntity, out); }

}  // namespace dtest
