#include "agent/log.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace dtest {
namespace {

void Write(spdlog::level::level_enum level, absl::string_view line) {
  spdlog::default_logger_raw()->log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void SetUpLog() {
  auto logger = spdlog::stderr_logger_mt("dtest-agent");
  logger->set_pattern("dtest-agent[%P] %l: %v");
  const char* level = std::getenv("DTEST_AGENT_LOG");
  logger->set_level(level == nullptr ? spdlog::level::warn : spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

bool LogsDebug() { return spdlog::should_log(spdlog::level::debug); }
void LogDebug(absl::string_view line) { Write(spdlog::level::debug, line); }
void LogInfo(absl::string_view line) { Write(spdlog::level::info, line); }
void LogWarning(absl::string_view line) { Write(spdlog::level::warn, line); }
void LogError(absl::string_view line) { Write(spdlog::level::err, line); }

}  // namespace dtest
