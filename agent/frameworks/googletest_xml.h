// GoogleTest's XML report of a whole process, written at its very end. The agent reads results as they are printed; the
// report adds what is never printed (RecordProperty), and stands in where a program has replaced the printer. Pure.

#ifndef DTEST_AGENT_FRAMEWORKS_GOOGLETEST_XML_H_
#define DTEST_AGENT_FRAMEWORKS_GOOGLETEST_XML_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/outcome.h"

namespace dtest {

struct GoogleTestXmlCase {
  std::string name;  // "Suite.Case"
  // False: the report only says that it was selected. Releases before 1.11 do not say when a case began: never true.
  bool ran = false;
  Outcome outcome = Outcome::kPassed;  // passed, failed or skipped
  std::string message;                 // of the failures or the skip
  absl::Duration duration;
  std::vector<std::pair<std::string, std::string>> properties;
};

// Not an XML parser: knows the output of XmlUnitTestResultPrinter, and takes anything else, a file cut short too,
// without harm (it may find nothing).
std::vector<GoogleTestXmlCase> ParseGoogleTestXml(absl::string_view xml);

// True if a case recorded a property: worth parsing for. One memory scan.
bool HasGoogleTestProperties(absl::string_view xml);

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_GOOGLETEST_XML_H_
