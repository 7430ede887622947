#include "coordinator/cli/recorded_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

Options Again(const std::vector<std::string>& variables, bool reproduction) {
  RunStarted started;
  started.command = {"dtest", "x"};
  for (const std::string& variable : variables) started.command.push_back("--env=" + variable);
  started.working_directory = std::filesystem::current_path().string();
  started.reproduction = reproduction;
  const absl::StatusOr<Options> options = OptionsOfRun(started, "log", Options(), {});
  EXPECT_TRUE(options.ok()) << options.status();
  return options.ok() ? *options : Options();
}

TEST(RecordedRun, VariablesThatSomebodyGaveAreKept) {
  const Options options = Again({"DTEST_ATTEMPT=2", "PYTEST_XDIST_WORKER_COUNT=1"}, /*reproduction=*/false);
  EXPECT_THAT(options.env, ElementsAre(Pair("DTEST_ATTEMPT", "2"), Pair("PYTEST_XDIST_WORKER_COUNT", "1")));
  EXPECT_THAT(options.as_it_ran, IsEmpty());
}

TEST(RecordedRun, ThoseOfAReproductionAreOfItsProcess) {
  const Options options = Again({"MINE=1", "DTEST_ATTEMPT=2"}, /*reproduction=*/true);
  EXPECT_THAT(options.env, ElementsAre(Pair("MINE", "1")));
  EXPECT_THAT(options.as_it_ran, ElementsAre(Pair("DTEST_ATTEMPT", "2")));
}

TEST(RecordedRun, AnOldLogIsOfAReproductionWhereItHasAllOfThem) {
  const Options options = Again({"DTEST_ATTEMPT=1", "DTEST_ITERATION=1", "DTEST_WORKER=0", "DTEST_WORKER_COUNT=1",
                                 "PYTEST_XDIST_WORKER=gw0", "PYTEST_XDIST_WORKER_COUNT=1"},
                                /*reproduction=*/false);
  EXPECT_THAT(options.env, IsEmpty());
  EXPECT_THAT(options.as_it_ran, SizeIs(6));
}

}  // namespace
}  // namespace dtest
