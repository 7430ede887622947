#include "coordinator/launch/log_lines.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dtest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogLinesTest : public ::testing::Test {
 protected:
  std::vector<std::string> told_;
  LogLines lines_ = LogLines([this](std::string line) { told_.push_back(std::move(line)); });
};

TEST_F(LogLinesTest, ComeAsTheyEndHoweverTheTextIsCut) {
  lines_.Add("one\ntw");
  lines_.Add("o\r\n\nthree");
  EXPECT_THAT(told_, ElementsAre("one", "two"));
  lines_.Flush();
  lines_.Flush();
  EXPECT_THAT(told_, ElementsAre("one", "two", "three"));
  EXPECT_EQ(lines_.last_words(), "one\ntwo\r\n\nthree");
}

TEST_F(LogLinesTest, ALineWithoutEndIsBounded) {
  for (int i = 0; i < 100; ++i) lines_.Add(std::string(1000, 'x'));
  EXPECT_THAT(told_, SizeIs(20));
  EXPECT_THAT(lines_.last_words(), SizeIs(2048));
  told_.clear();
  lines_.Flush();
  EXPECT_THAT(told_, IsEmpty());
}

}  // namespace
}  // namespace dtest
