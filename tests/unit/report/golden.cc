#include "tests/unit/report/golden.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace dtest {

std::string GoldenPath(absl::string_view name) { return absl::StrCat(DTEST_GOLDEN_DIR, "/", name); }

std::string ReadFileOrDie(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << "cannot read " << path;
  std::ostringstream contents;
  contents << file.rdbuf();
  return contents.str();
}

void ExpectGolden(absl::string_view name, absl::string_view actual) {
  const std::string path = GoldenPath(name);
  if (std::getenv("DTEST_UPDATE_GOLDEN") != nullptr) {
    std::ofstream file(path, std::ios::binary);
    file.write(actual.data(), static_cast<std::streamsize>(actual.size()));
    ASSERT_TRUE(file.flush().good()) << "cannot write " << path;
    return;
  }
  EXPECT_EQ(ReadFileOrDie(path), std::string(actual))
      << "differs from " << path << "; where the change is meant, run with DTEST_UPDATE_GOLDEN=1";
}

}  // namespace dtest
