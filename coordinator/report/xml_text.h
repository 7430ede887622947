// Clean text (report/text.h) as XML 1.0 has it. Pure; any thread.

#ifndef DTEST_COORDINATOR_REPORT_XML_TEXT_H_
#define DTEST_COORDINATOR_REPORT_XML_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

// As the content of an element.
void AppendXmlText(absl::string_view clean, std::string* out);
// As the value of an attribute in double quotes. Newlines and tabs stay what they are, also after normalization.
void AppendXmlAttribute(absl::string_view clean, std::string* out);

}  // namespace dtest

#endif  // DTEST_COORDINATOR_REPORT_XML_TEXT_H_
