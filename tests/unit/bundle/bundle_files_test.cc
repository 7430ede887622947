#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "coordinator/bundle/files.h"
#include "unit/bundle/temp_tree.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;

TEST(FilesTest, PathsArePrintedSafely) {
  EXPECT_EQ(Printable("/a/b c'd"), "/a/b c'd");
  EXPECT_EQ(Printable("a\nb\tc\x1b[31m\x7f"), "a\\nb\\tc\\x1b[31m\\x7f");
  EXPECT_EQ(Printable("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\x80"),
            "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\x80");
  // Not UTF-8: a lone byte, an overlong form, a surrogate, past U+10FFFF, cut off.
  EXPECT_EQ(Printable("\xfc"), "\\xfc");
  EXPECT_EQ(Printable("\xc0\xaf"), "\\xc0\\xaf");
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(Printable("x\xe2\x82"), "x\\xe2\\x82");
}

TEST(FilesTest, AbsolutePathsResolveAllButTheLastComponent) {
  const TempTree temp;
  temp.Write("real/file", "");
  temp.Link("real", "link");
  temp.Link("file", "real/alias");
  EXPECT_EQ(*AbsolutePath(temp.At("link/./alias")), temp.At("real/alias"));
  EXPECT_EQ(*AbsolutePath(temp.At("real/../link/file")), temp.At("real/file"));
  EXPECT_EQ(*AbsolutePath(temp.At("real//")), temp.At("real"));
  EXPECT_EQ(*AbsolutePath(temp.At("real/..")), temp.root());
  EXPECT_EQ(*AbsolutePath("/"), "/");
  EXPECT_EQ(*AbsolutePath("/etc"), "/etc");
  const absl::Status status = AbsolutePath(temp.At("none/file")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(temp.At("none/file")));
}

TEST(FilesTest, RelativePathsCompareComponents) {
  std::string relative;
  EXPECT_TRUE(RelativeTo("/a", "/a/b/c", &relative));
  EXPECT_EQ(relative, "b/c");
  EXPECT_TRUE(RelativeTo("/a", "/a", &relative));
  EXPECT_EQ(relative, "");
  EXPECT_TRUE(RelativeTo("/", "/a", &relative));
  EXPECT_EQ(relative, "a");
  EXPECT_FALSE(RelativeTo("/a", "/ab", &relative));
  EXPECT_FALSE(RelativeTo("/a/b", "/a", &relative));
}

TEST(FilesTest, FifoDoesNotBlock) {
  const TempTree temp;
  ASSERT_EQ(mkfifo(temp.At("fifo").c_str(), 0600), 0);
  EXPECT_EQ(OpenFile(temp.At("fifo")).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FilesTest, ReadingPastTheEndIsDataLoss) {
  const TempTree temp;
  const absl::StatusOr<OpenedFile> file = OpenFile(temp.Write("file", "0123456789"));
  ASSERT_TRUE(file.ok());
  char buffer[8];
  EXPECT_TRUE(ReadAt(file->fd.get(), 2, 8, buffer, "file").ok());
  EXPECT_EQ(std::string(buffer, 8), "23456789");
  EXPECT_EQ(ReadAt(file->fd.get(), 3, 8, buffer, "file").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadWholeFile(temp.At("file"), 9).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(*ReadWholeFile(temp.At("file"), 10), "0123456789");
}

}  // namespace
}  // namespace dtest
