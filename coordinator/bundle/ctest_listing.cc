#include "coordinator/bundle/ctest_listing.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dtest/base/cmake_regex.h"

namespace dtest {
namespace {

using Json = nlohmann::json;
using Texts = std::vector<std::string>;

constexpr int kMajorVersion = 1;
constexpr double kLongestSeconds = 3e8;  // ten years
constexpr uint32_t kMostProcessors = 1 << 16;
constexpr size_t kMostQuoted = 500;  // bytes, in a message

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("ctest --show-only=json-v1 printed what is no listing: ", what));
}

// Null: it has no such member, or one of another type.
const Json* Member(const Json& object, const char* name, Json::value_t type) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found != object.end() && found->type() == type ? &*found : nullptr;
}

std::optional<Texts> TextsOf(const Json& value) {
  if (!value.is_array()) return std::nullopt;
  Texts texts;
  for (const Json& one : value) {
    if (!one.is_string()) return std::nullopt;
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

// Takes properties into an entry. Each handler returns false for a value that it cannot be.
class PropertyReader {
 public:
  explicit PropertyReader(CTestEntry* entry) : entry_(*entry) {}

  void Read(const std::string& name, const Json& value);
  // Once all are read: what depends on several of them. What it noticed and does not stop it from running is told.
  void Finish(Texts* only_reports);

 private:
  using Handler = bool (PropertyReader::*)(const Json& value);
  struct Known {
    const char* name;
    Handler handler;
  };
  static absl::Span<const Known> Table();

  void Problem(std::string what) { entry_.problems.push_back(std::move(what)); }

  static bool Flag(const Json& value, bool* flag) {
    if (!value.is_boolean()) return false;
    *flag = value.get<bool>();
    return true;
  }
  static bool List(const Json& value, Texts* texts) {
    std::optional<Texts> read = TextsOf(value);
    if (!read.has_value()) return false;
    *texts = *std::move(read);
    return true;
  }
  static std::optional<absl::Duration> Seconds(const Json& value) {
    if (!value.is_number()) return std::nullopt;
    const auto seconds = value.get<double>();
    if (!std::isfinite(seconds) || seconds < 0) return std::nullopt;
    return absl::Seconds(std::min(seconds, kLongestSeconds));
  }
  // Names of labels and locks hold no zero byte and are not empty.
  static bool Names(const Json& value, Texts* names) {
    return List(value, names) && absl::c_none_of(*names, [](const std::string& name) {
             return name.empty() || name.find('\0') != std::string::npos;
           });
  }
  bool Expressions(const Json& value, const char* property, Texts* texts) {
    if (!List(value, texts)) return false;
    for (const std::string& text : *texts) {
      const absl::Status status = CMakeRegex::Compile(text).status();
      if (!status.ok()) Problem(absl::StrCat("has a bad ", property, " '", text, "': ", status.message()));
    }
    return true;
  }

  bool AttachedFiles(const Json&) { return OnlyReports("ATTACHED_FILES"); }
  bool AttachedFilesOnFail(const Json&) { return OnlyReports("ATTACHED_FILES_ON_FAIL"); }
  bool Measurement(const Json&) { return OnlyReports("MEASUREMENT"); }
  bool OnlyReports(const char* name) {
    only_reports_.emplace_back(name);
    return true;
  }
  bool Cost(const Json& value) {
    entry_.declaration.expected = Seconds(value);
    return entry_.declaration.expected.has_value();
  }
  bool Disabled(const Json& value) { return Flag(value, &entry_.judging.disabled); }
  bool Environment(const Json& value) { return List(value, &environment_); }
  bool Modification(const Json& value) { return List(value, &modification_); }
  bool Fail(const Json& value) { return Expressions(value, "FAIL_REGULAR_EXPRESSION", &entry_.judging.fail); }
  bool Pass(const Json& value) { return Expressions(value, "PASS_REGULAR_EXPRESSION", &entry_.judging.pass); }
  bool Skip(const Json& value) { return Expressions(value, "SKIP_REGULAR_EXPRESSION", &entry_.judging.skip); }
  bool Labels(const Json& value) { return Names(value, &entry_.declaration.labels); }
  bool Locks(const Json& value) { return Names(value, &locks_); }
  bool Processors(const Json& value) {
    if (!value.is_number_integer() || value.get<int64_t>() < 1) return false;
    entry_.declaration.slots = static_cast<uint32_t>(std::min<int64_t>(value.get<int64_t>(), kMostProcessors));
    return true;
  }
  bool RequiredFiles(const Json& value) { return List(value, &entry_.required_files); }
  bool RunSerial(const Json& value) { return Flag(value, &entry_.declaration.exclusive); }
  bool SkipReturnCode(const Json& value) {
    if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > 255) return false;
    entry_.judging.skip_status = static_cast<int>(value.get<int64_t>());
    return true;
  }
  bool Timeout(const Json& value) {
    const std::optional<absl::Duration> limit = Seconds(value);
    if (!limit.has_value()) return false;
    entry_.declaration.time_limit = *limit == absl::ZeroDuration() ? absl::InfiniteDuration() : *limit;
    return true;
  }
  bool WillFail(const Json& value) { return Flag(value, &entry_.judging.will_fail); }
  bool WorkingDirectory(const Json& value) {
    if (!value.is_string()) return false;
    entry_.working_directory = value.get<std::string>();
    return absl::StartsWith(entry_.working_directory, "/");
  }
  // They change what a test sees, or when it runs.
  bool NotYet(const char* name) {
    Problem(absl::StrCat("has the property ", name, ", which dtest does not honour yet"));
    return true;
  }
  bool Depends(const Json& value) { return List(value, &entry_.depends); }
  bool FixturesCleanup(const Json& value) { return List(value, &entry_.cleanups); }
  bool FixturesRequired(const Json& value) { return List(value, &entry_.required); }
  bool FixturesSetup(const Json& value) { return List(value, &entry_.setups); }
  bool ProcessorAffinity(const Json&) { return NotYet("PROCESSOR_AFFINITY"); }
  bool ResourceGroups(const Json&) { return NotYet("RESOURCE_GROUPS"); }
  bool GeneratedResources(const Json&) { return NotYet("GENERATED_RESOURCE_SPEC_FILE"); }
  bool TimeoutAfterMatch(const Json&) { return NotYet("TIMEOUT_AFTER_MATCH"); }
  bool TimeoutSignal(const Json&) { return NotYet("TIMEOUT_SIGNAL_NAME"); }
  bool TimeoutGrace(const Json&) { return NotYet("TIMEOUT_SIGNAL_GRACE_PERIOD"); }

  CTestEntry& entry_;
  Texts environment_, modification_, locks_, only_reports_;
};

absl::Span<const PropertyReader::Known> PropertyReader::Table() {
  static constexpr Known kTable[] = {
      {"ATTACHED_FILES", &PropertyReader::AttachedFiles},
      {"ATTACHED_FILES_ON_FAIL", &PropertyReader::AttachedFilesOnFail},
      {"COST", &PropertyReader::Cost},
      {"DEPENDS", &PropertyReader::Depends},
      {"DISABLED", &PropertyReader::Disabled},
      {"ENVIRONMENT", &PropertyReader::Environment},
      {"ENVIRONMENT_MODIFICATION", &PropertyReader::Modification},
      {"FAIL_REGULAR_EXPRESSION", &PropertyReader::Fail},
      {"FIXTURES_CLEANUP", &PropertyReader::FixturesCleanup},
      {"FIXTURES_REQUIRED", &PropertyReader::FixturesRequired},
      {"FIXTURES_SETUP", &PropertyReader::FixturesSetup},
      {"GENERATED_RESOURCE_SPEC_FILE", &PropertyReader::GeneratedResources},
      {"LABELS", &PropertyReader::Labels},
      {"MEASUREMENT", &PropertyReader::Measurement},
      {"PASS_REGULAR_EXPRESSION", &PropertyReader::Pass},
      {"PROCESSORS", &PropertyReader::Processors},
      {"PROCESSOR_AFFINITY", &PropertyReader::ProcessorAffinity},
      {"REQUIRED_FILES", &PropertyReader::RequiredFiles},
      {"RESOURCE_GROUPS", &PropertyReader::ResourceGroups},
      {"RESOURCE_LOCK", &PropertyReader::Locks},
      {"RUN_SERIAL", &PropertyReader::RunSerial},
      {"SKIP_REGULAR_EXPRESSION", &PropertyReader::Skip},
      {"SKIP_RETURN_CODE", &PropertyReader::SkipReturnCode},
      {"TIMEOUT", &PropertyReader::Timeout},
      {"TIMEOUT_AFTER_MATCH", &PropertyReader::TimeoutAfterMatch},
      {"TIMEOUT_SIGNAL_GRACE_PERIOD", &PropertyReader::TimeoutGrace},
      {"TIMEOUT_SIGNAL_NAME", &PropertyReader::TimeoutSignal},
      {"WILL_FAIL", &PropertyReader::WillFail},
      {"WORKING_DIRECTORY", &PropertyReader::WorkingDirectory},
  };
  return kTable;
}

void PropertyReader::Read(const std::string& name, const Json& value) {
  const absl::Span<const Known> table = Table();
  const auto known = absl::c_find_if(table, [&](const Known& one) { return one.name == name; });
  if (known == table.end()) return Problem(absl::StrCat("has the property ", name, ", which dtest does not know"));
  if ((this->*known->handler)(value)) return;
  const std::string shown = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  Problem(absl::StrCat("has a bad value of ", name, ": ", shown.substr(0, 200)));
}

void PropertyReader::Finish(Texts* only_reports) {
  for (const std::string& text : environment_) {
    const size_t equals = text.find('=');
    EnvChange change;
    change.name = text.substr(0, equals);
    if (equals == std::string::npos) {
      change.kind = EnvChange::Kind::kUnset;
    } else {
      change.value = text.substr(equals + 1);
    }
    if (change.name.empty()) {
      Problem(absl::StrCat("has a bad value of ENVIRONMENT: '", text, "' names no variable"));
    } else {
      entry_.env_changes.push_back(std::move(change));
    }
  }
  std::vector<EnvChange> modified;
  for (const std::string& text : modification_) {
    const absl::Status status = AddEnvironmentModification(text, &modified);
    if (!status.ok()) Problem(absl::StrCat("has a bad ENVIRONMENT_MODIFICATION: ", status.message()));
  }
  entry_.env_changes.insert(entry_.env_changes.end(), modified.begin(), modified.end());
  entry_.declaration.locks = std::move(locks_);
  if (entry_.declaration.exclusive) entry_.declaration.locks.emplace_back(kSerialLock);
  only_reports->insert(only_reports->end(), only_reports_.begin(), only_reports_.end());
}

absl::StatusOr<CTestEntry> ReadEntry(const Json& test, Texts* only_reports) {
  CTestEntry entry;
  const Json* const name = Member(test, "name", Json::value_t::string);
  if (name == nullptr) return Wrong("one of its tests has no name");
  entry.name = name->get<std::string>();
  if (entry.name.empty()) return Wrong("the name of one of its tests is empty");
  const auto command = test.find("command");
  std::optional<Texts> texts = command == test.end() ? std::make_optional(Texts()) : TextsOf(*command);
  if (!texts.has_value()) return Wrong(absl::StrCat("the command of '", entry.name, "' is no list of texts"));
  entry.command = *std::move(texts);
  PropertyReader reader(&entry);
  const auto properties = test.find("properties");
  if (properties != test.end() && !properties->is_array()) {
    return Wrong(absl::StrCat("the properties of '", entry.name, "' are no list"));
  }
  for (const Json& property : properties == test.end() ? Json::array() : *properties) {
    const Json* const its_name = Member(property, "name", Json::value_t::string);
    if (its_name == nullptr || !property.contains("value")) {
      return Wrong(absl::StrCat("a property of '", entry.name, "' has no name or no value"));
    }
    reader.Read(its_name->get<std::string>(), property["value"]);
  }
  reader.Finish(only_reports);
  const bool has_command = !entry.command.empty() && !entry.command.front().empty();
  if (!has_command && !entry.judging.disabled) {
    entry.problems.insert(entry.problems.begin(),
                          "has no command that CTest can find: was its program built, and in this configuration?");
  }
  if (!has_command) entry.command.clear();
  if (entry.judging.disabled) entry.problems.clear();  // it never runs
  return entry;
}

// The object begins on a line of its own; before it is what CTest and the tree's scripts say.
size_t BeginOfObject(absl::string_view output) {
  if (absl::StartsWith(output, "{")) return 0;
  const size_t begin = output.find("\n{");
  return begin == absl::string_view::npos ? 0 : begin + 1;
}

}  // namespace

absl::Status AddEnvironmentModification(absl::string_view text, std::vector<EnvChange>* changes) {
  const size_t equals = text.find('=');
  const size_t colon = equals == absl::string_view::npos ? equals : text.find(':', equals + 1);
  if (equals == 0 || colon == absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' is not NAME=operation:value"));
  }
  const absl::string_view operation = text.substr(equals + 1, colon - equals - 1);
  EnvChange change;
  change.name = std::string(text.substr(0, equals));
  change.value = std::string(text.substr(colon + 1));
  const auto is_its = [&](const EnvChange& other) { return other.name == change.name; };
  if (operation == "reset") {
    std::erase_if(*changes, is_its);
    return absl::OkStatus();
  }
  if (operation == "unset") {
    change.kind = EnvChange::Kind::kUnset;
    change.value.clear();
  } else if (absl::EndsWith(operation, "_append") || absl::EndsWith(operation, "_prepend")) {
    change.kind = absl::EndsWith(operation, "_append") ? EnvChange::Kind::kAppend : EnvChange::Kind::kPrepend;
    const absl::string_view of = operation.substr(0, operation.rfind('_'));
    if (of != "string" && of != "path_list" && of != "cmake_list") {
      return absl::InvalidArgumentError(absl::StrCat("'", text, "' has the unknown operation '", operation, "'"));
    }
    change.separator = std::string(of == "path_list" ? ":" : of == "cmake_list" ? ";" : "");
    // CTest adds to what it finds, as if it had not been unset.
    const auto last = std::find_if(changes->rbegin(), changes->rend(), is_its);
    if (last != changes->rend() && last->kind == EnvChange::Kind::kUnset) std::erase_if(*changes, is_its);
  } else if (operation != "set") {
    return absl::InvalidArgumentError(absl::StrCat("'", text, "' has the unknown operation '", operation, "'"));
  }
  changes->push_back(std::move(change));
  return absl::OkStatus();
}

absl::StatusOr<CTestListing> ParseCTestListing(absl::string_view output) {
  CTestListing listing;
  const size_t begin = BeginOfObject(output);
  const absl::string_view before = output.substr(0, std::min(begin, kMostQuoted));
  Json object;
  try {
    object = Json::parse(output.begin() + begin, output.end());
  } catch (const Json::exception& error) {
    return Wrong(absl::StrCat(error.what(), "; it begins with: ", output.substr(0, kMostQuoted)));
  }
  const Json* const kind = Member(object, "kind", Json::value_t::string);
  if (kind == nullptr || kind->get<std::string>() != "ctestInfo") return Wrong("it is not of the kind ctestInfo");
  const Json* const version = Member(object, "version", Json::value_t::object);
  const Json* const major = version == nullptr ? nullptr : Member(*version, "major", Json::value_t::number_unsigned);
  if (major == nullptr || major->get<uint64_t>() != kMajorVersion) {
    return Wrong(absl::StrCat("its version is ", version == nullptr ? "not told" : version->dump(), ", not ",
                              kMajorVersion, ": this ctest is newer than this dtest"));
  }
  const Json* const tests = Member(object, "tests", Json::value_t::array);
  if (tests == nullptr) return Wrong("it has no list of tests");
  Texts only_reports;
  size_t with_reports = 0;
  for (const Json& test : *tests) {
    const size_t had = only_reports.size();
    absl::StatusOr<CTestEntry> entry = ReadEntry(test, &only_reports);
    if (!entry.ok()) return entry.status();
    with_reports += only_reports.size() > had ? 1 : 0;
    listing.entries.push_back(*std::move(entry));
  }
  if (!before.empty()) listing.notes.push_back(absl::StrCat("ctest says: ", before));
  if (with_reports > 0) {
    std::sort(only_reports.begin(), only_reports.end());
    only_reports.erase(std::unique(only_reports.begin(), only_reports.end()), only_reports.end());
    listing.notes.push_back(
        absl::StrCat(with_reports, with_reports == 1 ? " test of CTest has " : " tests of CTest have ",
                     absl::StrJoin(only_reports, " and "), ", which add to CTest's own reports only"));
  }
  return listing;
}

}  // namespace dtest
