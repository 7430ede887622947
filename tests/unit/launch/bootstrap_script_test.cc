// The real script in real shells: as a login shell's command, and with nothing but busybox in PATH.

#include "coordinator/launch/bootstrap_script.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/bundle/gzip.h"
#include "coordinator/launch/bootstrap.h"
#include "coordinator/launch/process_conduit.h"
#include "coordinator/launch/spawn.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "unit/launch/fixtures.h"

namespace dtest {
namespace {

using ::testing::HasSubstr;

struct Result {
  absl::Status status;
  bool ready = false;
  bool shipped = false;
  std::string err;
};

// Runs the whole conversation against `argv`, whose last argument the command is appended to.
Result Talk(std::vector<std::string> argv, std::vector<std::pair<std::string, std::string>> env,
            std::shared_ptr<const AgentArchive> archive, const std::string& store, bool typed = false) {
  Bootstrap::Options options;
  options.archive = std::move(archive);
  static int count = 0;
  options.nonce = absl::StrCat("n", getpid(), "x", ++count);
  options.store = store;
  options.type_command = typed;
  options.start.token = std::string(16, 'T');
  options.start.run_id = "echo";
  absl::StatusOr<Bootstrap> bootstrap = Bootstrap::Make(options);
  Result result;
  result.status = bootstrap.status();
  if (!bootstrap.ok()) return result;
  if (!typed) argv.push_back(bootstrap->command());
  SpawnOptions spawn;
  spawn.argv = argv;
  spawn.env = env;
  absl::StatusOr<std::unique_ptr<Conduit>> conduit = StartProcess(spawn);
  result.status = conduit.status();
  if (!conduit.ok()) return result;
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (!bootstrap->ready() && absl::Now() < deadline) {
    std::string out;
    result.status = (*conduit)->Read(1 << 20, &out, &result.err);
    if (result.status.ok()) result.status = bootstrap->Receive(out);
    if (result.status.ok() && !bootstrap->ready() && (*conduit)->ended()) {
      result.status = bootstrap->Failure((*conduit)->HowItEnded(), (*conduit)->exit_status(), result.err);
    }
    if (!result.status.ok()) {
      (*conduit)->Abandon();
      break;
    }
    if (bootstrap->ready()) break;
    const size_t sent = *(*conduit)->Write(bootstrap->Outgoing());
    bootstrap->Sent(sent);
    std::vector<pollfd> fds;
    (*conduit)->AddPoll(true, !bootstrap->Outgoing().empty(), &fds);
    poll(fds.data(), fds.size(), 1000);
  }
  result.ready = bootstrap->ready();
  result.shipped = bootstrap->shipped();
  return result;
}

// What runs the command's script by `shell`, as if that were the host's /bin/sh.
std::vector<std::string> AsBinSh(const std::string& shell) {
  return {"sh", "-c", absl::StrCat("eval \"set -- ${1#exec /bin/sh -c }\"; exec ", shell, " -c \"$1\""), "sh"};
}

class LoginShell : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(LoginShell, InstallsAndThenFindsTheAgent) {
  if (!HaveProgram(GetParam()[0])) GTEST_SKIP() << GetParam()[0] << " is not installed";
  ScratchDirectory dir;
  const Result first = Talk(GetParam(), {}, EchoArchive(), dir / "a store");
  EXPECT_TRUE(first.ready) << first.status << first.err;
  EXPECT_TRUE(first.shipped);
  const Result second = Talk(GetParam(), {}, EchoArchive(), dir / "a store");
  EXPECT_TRUE(second.ready) << second.status << second.err;
  EXPECT_FALSE(second.shipped);
}

INSTANTIATE_TEST_SUITE_P(
    Shells, LoginShell,
    ::testing::Values(std::vector<std::string>{"sh", "-c"}, std::vector<std::string>{"bash", "-c"},
                      std::vector<std::string>{"dash", "-c"}, std::vector<std::string>{"busybox", "sh", "-c"},
                      std::vector<std::string>{"tcsh", "-c"}, std::vector<std::string>{"fish", "-c"},
                      std::vector<std::string>{"zsh", "-c"}, std::vector<std::string>{"ksh", "-c"}),
    [](const auto& info) { return info.param[0]; });

// A PATH with these commands only, each a link to busybox (or the system's own).
std::string MakeBin(const ScratchDirectory& dir, const std::string& name, const std::vector<std::string>& commands) {
  const std::string bin = dir / name;
  mkdir(bin.c_str(), 0755);
  for (const std::string& command : commands) {
    EXPECT_EQ(symlink("/bin/busybox", (bin + "/" + command).c_str()), 0);
  }
  return bin;
}

const std::vector<std::string> kLeast = {"uname", "mkdir", "head", "tar", "mv", "rm"};

TEST(BusyboxOnly, IsEnough) {
  if (!HaveProgram("busybox")) GTEST_SKIP() << "busybox is not installed";
  ScratchDirectory dir;
  const Result result =
      Talk({"/bin/busybox", "sh", "-c"}, {{"PATH", MakeBin(dir, "bin", kLeast)}}, EchoArchive(), dir / "store");
  EXPECT_TRUE(result.ready) << result.status << result.err;
  EXPECT_EQ(result.err.find("not found"), std::string::npos) << result.err;
}

TEST(BusyboxOnly, AScriptOnStdinWorksToo) {
  if (!HaveProgram("busybox")) GTEST_SKIP() << "busybox is not installed";
  ScratchDirectory dir;
  for (const bool shipped : {true, false}) {
    const Result result = Talk({"/bin/busybox", "sh"}, {{"PATH", MakeBin(dir, shipped ? "b1" : "b2", kLeast)}},
                               EchoArchive(), dir / "store", true);
    EXPECT_TRUE(result.ready) << result.status << result.err;
    EXPECT_EQ(result.shipped, shipped);
  }
}

TEST(BusyboxOnly, AHeadWithoutCountIsReplacedByDd) {
  if (!HaveProgram("busybox")) GTEST_SKIP() << "busybox is not installed";
  ScratchDirectory dir;
  std::vector<std::string> commands = {"uname", "mkdir", "dd", "tar", "mv", "rm"};
  const std::string bin = MakeBin(dir, "bin", commands);
  WriteFile(bin + "/head", "#!/bin/busybox sh\necho head: bad option >&2\nexit 1\n", 0755);
  const Result result = Talk({"/bin/busybox", "sh", "-c"}, {{"PATH", bin}}, EchoArchive(), dir / "store");
  EXPECT_TRUE(result.ready) << result.status << result.err;
}

TEST(BusyboxOnly, AMissingToolIsNamed) {
  if (!HaveProgram("busybox")) GTEST_SKIP() << "busybox is not installed";
  ScratchDirectory dir;
  // dash, since a busybox shell may find its own applets without PATH.
  const Result result = Talk({"/bin/sh", "-c"}, {{"PATH", MakeBin(dir, "bin", {"uname", "mkdir", "head", "mv", "rm"})}},
                             EchoArchive(), dir / "store");
  EXPECT_FALSE(result.ready);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("tar: not found"));
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("the host needs mkdir, head, tar, mv, rm and cat"));
}

TEST(InstallScript, ADamagedArchiveIsNotUsed) {
  ScratchDirectory dir;
  // `cksum` that always finds something else: what a bit lost on the way would look like.
  const std::string bin = dir / "bin";
  mkdir(bin.c_str(), 0755);
  WriteFile(bin + "/cksum", "#!/bin/sh\ncat >/dev/null\necho 1 2\n", 0755);
  const Result result =
      Talk({"/bin/sh", "-c"}, {{"PATH", absl::StrCat(bin, ":", getenv("PATH"))}}, EchoArchive(), dir / "store");
  EXPECT_FALSE(result.ready);
  EXPECT_THAT(std::string(result.status.message()),
              HasSubstr("the archive arrived damaged: cksum and size are 1 2, not "));
  EXPECT_EQ(MustRun({"ls", "-A", dir / "store/agents"}), "");
}

// The other one's copy comes between our look at the place and the command that was to change it.
class InstallMeanwhile : public ::testing::TestWithParam<bool> {};

TEST_P(InstallMeanwhile, WhatAnotherCoordinatorInstallsStays) {
  if (!HaveProgram("busybox")) GTEST_SKIP() << "busybox is not installed";
  ScratchDirectory dir;
  const auto archive = EchoArchive();
  const std::string agent = absl::StrCat(dir / "store", "/agents/", archive->digest_hex);
  if (GetParam()) MustRun({"mkdir", "-p", agent + "/lib"});  // what a killed install left
  const std::string bin = MakeBin(dir, "bin", {"uname", "mkdir", "head", "tar", "cp"});
  for (const char* tool : {"mv", "rm"}) {
    std::ofstream script(absl::StrCat(bin, "/", tool));
    script << "#!/bin/busybox sh\nfor last; do :; done\n"
              "if { [ \"$1\" = \"$AGENT\" ] || [ \"$last\" = \"$AGENT\" ]; } && mkdir \"$ONCE\" 2>/dev/null; then\n"
              "  /bin/busybox rm -rf \"$AGENT\"\n"
              "  cp -a \"${AGENT%/*}\"/.new.*/agent-* \"$AGENT\" && : >\"$AGENT/theirs\"\nfi\n"
              "exec /bin/busybox \"${0##*/}\" \"$@\"\n";
    script.close();
    ASSERT_EQ(chmod(absl::StrCat(bin, "/", tool).c_str(), 0755), 0);
  }
  const Result result =
      Talk({"/bin/sh", "-c"}, {{"PATH", bin}, {"AGENT", agent}, {"ONCE", dir / "once"}}, archive, dir / "store");
  EXPECT_TRUE(result.ready) << result.status << result.err;
  EXPECT_EQ(access((dir / "once").c_str(), F_OK), 0);
  EXPECT_EQ(access((agent + "/theirs").c_str(), F_OK), 0) << "removed";
  EXPECT_EQ(MustRun({"ls", "-A", dir / "store" + "/agents"}), archive->digest_hex + "\n");
}
INSTANTIATE_TEST_SUITE_P(InstallScript, InstallMeanwhile, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "WhereOneIsBroken" : "WhereNoneIs"; });

TEST(InstallScript, WhatIsNotCompleteIsReplaced) {
  ScratchDirectory dir;
  const auto archive = EchoArchive();
  const std::string agents = dir / "store" + "/agents";
  MustRun({"mkdir", "-p", agents + "/" + archive->digest_hex + "/lib"});
  const Result result = Talk({"/bin/sh", "-c"}, {}, archive, dir / "store");
  EXPECT_TRUE(result.ready) << result.status << result.err;
  EXPECT_EQ(MustRun({"ls", "-A", agents}), archive->digest_hex + "\n");
}

TEST(StoreRoot, FollowsXdgThenHomeThenTmp) {
  ScratchDirectory dir;
  const auto archive = EchoArchive("root");
  const std::string home = dir / "home", xdg = dir / "xdg";
  mkdir(home.c_str(), 0755);
  EXPECT_TRUE(Talk({"/bin/sh", "-c"}, {{"HOME", home}, {"XDG_CACHE_HOME", xdg}}, archive, "").ready);
  EXPECT_EQ(access((xdg + "/dtest/agents/" + archive->digest_hex + "/.complete").c_str(), F_OK), 0);
  EXPECT_TRUE(Talk({"/bin/sh", "-c"}, {{"HOME", home}, {"XDG_CACHE_HOME", "relative"}}, archive, "").ready);
  EXPECT_EQ(access((home + "/.cache/dtest/agents/" + archive->digest_hex + "/.complete").c_str(), F_OK), 0);
  EXPECT_TRUE(Talk({"/bin/sh", "-c"}, {{"HOME", home + "//"}, {"XDG_CACHE_HOME", xdg + "2/"}}, archive, "").ready);
  EXPECT_EQ(access((xdg + "2/dtest/agents/" + archive->digest_hex + "/.complete").c_str(), F_OK), 0);
  EXPECT_TRUE(Talk({"/bin/sh", "-c"}, {{"HOME", home}}, archive, "~/my/store").ready);
  EXPECT_EQ(access((home + "/my/store/agents/" + archive->digest_hex + "/.complete").c_str(), F_OK), 0);
  struct stat info;
  ASSERT_EQ(stat((home + "/my/store/agents").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST(StoreRoot, AnAccountWithoutAHomeUsesItsOwnDirectoryInTmp) {
  const auto archive = EchoArchive(absl::StrCat("nohome", getpid()));
  for (const char* home : {"/", ""}) {
    const Result result = Talk({"/bin/sh", "-c"}, {{"HOME", home}, {"XDG_CACHE_HOME", ""}}, archive, "");
    EXPECT_TRUE(result.ready) << result.status;
  }
  const std::string agent = absl::StrCat("/tmp/dtest-", getuid(), "/agents/", archive->digest_hex);
  EXPECT_EQ(access(agent.c_str(), F_OK), 0);
  MustRun({"rm", "-rf", agent});
}

TEST(StoreRoot, ASymbolicLinkInTmpIsNotFollowed) {
  ScratchDirectory dir;
  mkdir((dir / "elsewhere").c_str(), 0700);
  ASSERT_EQ(symlink((dir / "elsewhere").c_str(), (dir / "link").c_str()), 0);
  const Result result = Talk({"/bin/sh", "-c"}, {}, EchoArchive(), dir / "link");
  EXPECT_FALSE(result.ready);
  EXPECT_EQ(result.status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("belongs to somebody else"));
}

// Whoever makes the link may point it elsewhere between the look at the cached agent and its start.
TEST(StoreRoot, ACachedAgentBehindASymbolicLinkInTmpIsNotStarted) {
  ScratchDirectory dir;
  ASSERT_TRUE(Talk({"/bin/sh", "-c"}, {}, EchoArchive(), dir / "real").shipped);
  ASSERT_EQ(symlink((dir / "real").c_str(), (dir / "link").c_str()), 0);
  for (const char* shell : {"sh", "bash --posix", "dash", "busybox sh", "ksh"}) {
    if (!HaveProgram(std::string(absl::string_view(shell).substr(0, absl::string_view(shell).find(' '))))) continue;
    SCOPED_TRACE(shell);
    for (const char* store : {"real", "real/"}) {
      const Result result = Talk(AsBinSh(shell), {}, EchoArchive(), dir / store);
      EXPECT_TRUE(result.ready) << result.status;
      EXPECT_FALSE(result.shipped);
    }
    const Result result = Talk(AsBinSh(shell), {}, EchoArchive(), dir / "link");
    EXPECT_FALSE(result.ready);
    EXPECT_THAT(std::string(result.status.message()), HasSubstr("belongs to somebody else"));
  }
}

TEST(StoreRoot, ACachedAgentInSomebodyElsesDirectoryInTmpIsNotStarted) {
  if (getuid() != 0) GTEST_SKIP() << "only root can make a directory of somebody else";
  ScratchDirectory dir;
  ASSERT_TRUE(Talk({"/bin/sh", "-c"}, {}, EchoArchive(), dir / "store").shipped);
  ASSERT_EQ(chown((dir / "store").c_str(), 65534, 65534), 0);
  const Result result = Talk({"/bin/sh", "-c"}, {}, EchoArchive(), dir / "store");
  EXPECT_FALSE(result.ready);
  EXPECT_EQ(result.status.code(), absl::StatusCode::kPermissionDenied);
}

// An archive of which one form is good: installed, so that one travelled.
std::shared_ptr<const AgentArchive> OneForm(ArchiveForm good) {
  auto archive = std::make_shared<AgentArchive>(*EchoArchive());
  std::promise<AgentArchive::Zipped> gzip;
  const std::string bytes = good == ArchiveForm::kGzip ? Gzip(archive->tar) : "not gzip";
  gzip.set_value({bytes, PosixChecksum(bytes)});
  archive->gzip = gzip.get_future().share();
  if (good == ArchiveForm::kGzip) archive->tar = "not tar";
  return archive;
}

TEST(ArchiveForms, GzipTravelsWhereTheHostHasIt) {
  ScratchDirectory dir;
  const Result result = Talk({"/bin/sh", "-c"}, {}, OneForm(ArchiveForm::kGzip), dir / "store");
  EXPECT_TRUE(result.ready) << result.status << result.err;
  std::vector<std::string> commands = kLeast;
  commands.push_back("gzip");
  const Result busybox = Talk({"/bin/busybox", "sh", "-c"}, {{"PATH", MakeBin(dir, "bin", commands)}},
                              OneForm(ArchiveForm::kGzip), dir / "another store");
  EXPECT_TRUE(busybox.ready) << busybox.status << busybox.err;
}

TEST(ArchiveForms, PlainTravelsWhereTheHostHasNoGzip) {
  ScratchDirectory dir;
  const Result result = Talk({"/bin/busybox", "sh", "-c"}, {{"PATH", MakeBin(dir, "bin", kLeast)}},
                             OneForm(ArchiveForm::kPlain), dir / "store");
  EXPECT_TRUE(result.ready) << result.status << result.err;
}

TEST(BootstrapCommand, HoldsNothingThatLoginShellsTreatDifferently) {
  auto archive = std::make_shared<AgentArchive>(*EchoArchive());
  archive->loader_name = "ld-linux-x86-64.so.2";
  archive->digest_hex = std::string(64, 'a');
  const std::string command = *BootstrapCommand(*archive, std::string(16, 'b'), "");
  ASSERT_TRUE(absl::StartsWith(command, "exec /bin/sh -c '"));
  ASSERT_TRUE(absl::EndsWith(command, "'"));
  const std::string script = command.substr(17, command.size() - 18);
  EXPECT_EQ(script.find_first_of("'!\n\\"), std::string::npos);
  EXPECT_LT(command.size(), 1024u);                       // what old csh takes as one word
  EXPECT_FALSE(absl::StrContains(script, kProbeMarker));  // an echo of it is not the marker
}

TEST(BootstrapCommand, RefusesStoresThatNeedQuoting) {
  for (const char* store : {"/a'b", "/a\"b", "/a$b", "/a`b", "/a\\b", "/a!b", "/a\nb", "/a;b", "relative", "~user/x"}) {
    EXPECT_EQ(BootstrapCommand(*EchoArchive(), "n", store).status().code(), absl::StatusCode::kInvalidArgument)
        << store;
  }
}

TEST(PosixChecksum, IsThatOfCksum) {
  EXPECT_EQ(PosixChecksum(""), 4294967295u);
  EXPECT_EQ(PosixChecksum("123456789"), 930766865u);
  ScratchDirectory dir;
  const std::string bytes = EchoArchive()->tar;
  WriteFile(dir / "f", bytes);
  EXPECT_EQ(MustRun({"cksum", dir / "f"}), absl::StrCat(PosixChecksum(bytes), " ", bytes.size(), " ", dir / "f", "\n"));
}

}  // namespace
}  // namespace dtest
