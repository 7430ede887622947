#include "coordinator/cli/json_document.h"

#include "absl/strings/str_cat.h"
#include "coordinator/cli/standard_output.h"
#include "coordinator/report/json_append.h"

namespace dtest {
namespace {

constexpr size_t kPiece = 1 << 18;  // bytes

}  // namespace

JsonDocument::JsonDocument(absl::string_view command) {
  absl::StrAppend(&text_, "{\"version\":", kJsonVersion);
  AppendField("command", command, &text_);
}

void JsonDocument::BeginList(absl::string_view key) {
  AppendKey(key, &text_);
  text_.push_back('[');
  first_ = true;
}

std::string* JsonDocument::Element() {
  WriteIfLong();
  text_ += first_ ? "\n" : ",\n";
  first_ = false;
  return &text_;
}

void JsonDocument::EndList() { text_ += first_ ? "]" : "\n]"; }

int JsonDocument::End(const std::vector<Error>& errors, int exit_status) {
  BeginList("errors");
  for (const Error& error : errors) {
    std::string* const text = Element();
    *text += "{\"message\":";
    AppendString(error.message, text);
    if (!error.executable.empty()) AppendField("executable", error.executable, text);
    if (!error.host.empty()) AppendField("host", error.host, text);
    if (!error.output.empty()) AppendField("output", error.output, text);
    text->push_back('}');
  }
  EndList();
  AppendField("status", static_cast<uint64_t>(exit_status), &text_);
  text_ += "}\n";
  if (error_ == 0) error_ = WriteOutput(text_);
  return StatusAfterOutput(error_, exit_status);
}

void JsonDocument::WriteIfLong() {
  if (text_.size() < kPiece) return;
  if (error_ == 0) error_ = WriteOutput(text_);
  text_.clear();
}

int EndWithError(absl::string_view command, const std::vector<absl::string_view>& lists, absl::string_view message,
                 int exit_status) {
  JsonDocument document(command);
  for (const absl::string_view list : lists) {
    document.BeginList(list);
    document.EndList();
  }
  return document.End({{std::string(message), "", "", ""}}, exit_status);
}

}  // namespace dtest
