#include "coordinator/run/missing_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(PathsNamed, AreWhereAPathMayBegin) {
  EXPECT_THAT(PathsNamed("cannot open \"/src/data/x.txt\": No such file", "/src"), ElementsAre("/src/data/x.txt"));
  EXPECT_THAT(PathsNamed("/src/a.txt: No such file", "/src"), ElementsAre("/src/a.txt"));
  EXPECT_THAT(PathsNamed("DIR=/src/data/, file:/src/b, no (/src/c).", "/src"),
              ElementsAre("/src/data", "/src/b", "/src/c"));
  EXPECT_THAT(PathsNamed("see /src/x.txt.", "/src"), ElementsAre("/src/x.txt"));
  EXPECT_THAT(PathsNamed("/src/a /src/b /src/a", "/src"), ElementsAre("/src/a", "/src/b"));
}

TEST(PathsNamed, AreNeitherPlacesInSourcesNorElsewhere) {
  EXPECT_THAT(PathsNamed("/src/a_test.cc:12: Failure\n/src/b.cc(7): error", "/src"), IsEmpty());
  EXPECT_THAT(PathsNamed("/home/src/x /srcs/x /src /src/ src/x", "/src"), IsEmpty());
  EXPECT_THAT(PathsNamed("/x", "/"), IsEmpty());
  EXPECT_THAT(PathsNamed("/x", ""), IsEmpty());
}

TEST(PathsNamed, AreFewOfALongText) {
  std::string many;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&many, "/src/", i, " ");
  EXPECT_THAT(PathsNamed(many, "/src"), SizeIs(16));
  const std::string filling(1 << 20, '/');
  EXPECT_THAT(PathsNamed(absl::StrCat("/src/first ", filling, " /src/middle ", filling, " /src/last"), "/src"),
              ElementsAre("/src/first", "/src/last"));
}

TEST(MissingFilesHint, NamesTheFirstThatIsHereAndWhatBringsIt) {
  const auto exists = [](const std::string& path) { return path == "/src/data/x.txt"; };
  const std::string hint =
      MissingFilesHint("a.cc:1: Failure", "no /src/gone, no /src/data/x.txt", "h2", "/src", {}, exists);
  EXPECT_THAT(hint, HasSubstr("/src/data/x.txt is a file of this machine"));
  EXPECT_THAT(hint, HasSubstr("--data 'data/x.txt' brings it to h2"));
  EXPECT_EQ(MissingFilesHint("no /src/gone", "", "h2", "/src", {}, exists), "");
  EXPECT_THAT(MissingFilesHint("no /src/data/x.txt", "", "h2", "/src", {"/src/data/x.txt"}, exists),
              HasSubstr("--data brought it to h2 as data/x.txt"));
}

TEST(MissingFilesHint, KnowsTheFileThatPythonMisses) {
  const auto hint_of = [](const std::string& path, const std::vector<std::string>& data_files = {}) {
    return MissingFilesHint(absl::StrCat("FileNotFoundError: [Errno 2] No such file or directory: '", path, "'"), "",
                            "h2", "/src", data_files, [](const std::string& at) { return at == "/src/data/x.bin"; });
  };
  EXPECT_THAT(hint_of("data/x.bin"), HasSubstr("this machine has data/x.bin, "));
  EXPECT_THAT(hint_of("./data/x.bin"), HasSubstr("--data 'data/x.bin' brings it to h2"));
  EXPECT_THAT(hint_of("/home/u/.cache/tree/data/x.bin"), HasSubstr("this machine has data/x.bin, "));
  EXPECT_EQ(hint_of("/home/u/x.bin"), "");
  EXPECT_EQ(hint_of("gone.bin"), "");
  EXPECT_EQ(hint_of("data/x.bin", {"/src/data/x.bin"}), "");
  EXPECT_EQ(MissingFilesHint("No such file or directory: ", "No such file or directory: 'x", "h2", "/src", {},
                             [](const std::string&) { return true; }),
            "");
}

}  // namespace
}  // namespace dtest
