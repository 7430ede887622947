#include "coordinator/report/junit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <limits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "dtest/base/io.h"
#include "dtest/base/paths.h"
#include "dtest/base/whole_file.h"

namespace dtest {
namespace {

std::string Shown(const std::string& path) { return absl::StrCat("--junit ", path); }

std::string Explain(absl::string_view what, const std::string& path) { return absl::StrCat(Shown(path), ": ", what); }

}  // namespace

std::string JUnitPartPath(const std::string& path, size_t part) {
  const size_t name = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  const size_t dot = path.rfind('.');
  const size_t cut = dot == std::string::npos || dot <= name ? path.size() : dot;
  return absl::StrCat(path.substr(0, cut), ".part", part, path.substr(cut));
}

absl::StatusOr<std::unique_ptr<JUnitReport>> JUnitReport::Create(const std::string& path, const RunRecord* run) {
  if (path.empty()) return absl::InvalidArgumentError("--junit: the path is empty");
  if (path == "-") {
    Fd fd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
    if (!fd.ok()) return absl::ErrnoToStatus(errno, Explain("cannot write to standard output", path));
    return std::unique_ptr<JUnitReport>(new JUnitReport(path, std::move(fd), run));
  }
  std::string target = path;
  struct stat st;
  if (stat(path.c_str(), &st) == 0) {
    if (S_ISDIR(st.st_mode)) return absl::InvalidArgumentError(Explain("is a directory; name a file in it", path));
    if (!S_ISREG(st.st_mode)) {
      // Kept open: a pipe's reader would take the end of a trial for the end of the report. Not waiting for a reader.
      Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
      if (!fd.ok() && errno == ENXIO) {
        return absl::FailedPreconditionError(Explain("nobody reads this pipe; start its reader first", path));
      }
      if (!fd.ok()) return absl::ErrnoToStatus(errno, Explain("cannot write it", path));
      fcntl(fd.get(), F_SETFL, 0);
      return std::unique_ptr<JUnitReport>(new JUnitReport(path, std::move(fd), run));
    }
    if (std::optional<std::string> real = RealPath(path); real.has_value()) target = *std::move(real);
  } else if (path.back() == '/') {
    return absl::InvalidArgumentError(Explain("names a directory; name a file in it", path));
  }
  if (absl::Status status = CheckReplaceable(Shown(target), target); !status.ok()) return status;
  return std::unique_ptr<JUnitReport>(new JUnitReport(std::move(target), Fd(), run));
}

JUnitReport::JUnitReport(std::string path, Fd fd, const RunRecord* run)
    : path_(std::move(path)), fd_(std::move(fd)), run_(*run) {}

JUnitReport::~JUnitReport() = default;

absl::Status JUnitReport::Handle(const RunEvent& event) {
  return std::holds_alternative<RunFinished>(event.what) ? Write() : absl::OkStatus();
}

absl::Status JUnitReport::Write() {
  if (fd_.ok()) {  // has no second part, and a reader that need not be GitLab
    output_error_ = WriteAll(fd_.get(), RenderJUnit(run_, std::numeric_limits<size_t>::max())[0]);
    if (output_error_ == 0) return absl::OkStatus();
    return absl::ErrnoToStatus(output_error_, absl::StrCat(Shown(path_), ": cannot write it"));
  }
  const std::vector<std::string> parts = RenderJUnit(run_);
  for (size_t part = parts.size(); part > 1; --part) {
    const std::string path = JUnitPartPath(path_, part);
    if (absl::Status status = ReplaceFile(Shown(path), path, parts[part - 1]); !status.ok()) return status;
  }
  // Parts that a longer run left here would be read as parts of this one.
  for (size_t part = parts.size() + 1; unlink(JUnitPartPath(path_, part).c_str()) == 0;) ++part;
  return ReplaceFile(Shown(path_), path_, parts[0]);
}

}  // namespace dtest
