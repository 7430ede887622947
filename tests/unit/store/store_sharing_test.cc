// Several runs, living and dead, on one store; and its limits: the configured one and the disk's.

#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include <algorithm>

#include "agent/store/rubbish.h"
#include "agent/store/runs.h"
#include "agent/store/store.h"
#include "gmock/gmock.h"
#include "tests/unit/store/store_testing.h"

namespace dtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class StoreSharingTest : public testing::Test {
 protected:
  // Ships `contents` in a run of its own.
  void Keep(const std::string& contents, const std::string& run_id, const std::string& root) {
    coordinator_.Add(contents);
    coordinator_.Ship(OpenStore(root, run_id).get(), {FileEntry("f", contents)});
  }
  // As if last used this many seconds after the epoch.
  static void SetUsed(const std::string& root, const std::string& contents, time_t seconds) {
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, RecordPath(root, ChunkFile(contents).id).c_str(), times, 0), 0);
  }
  static bool Stored(const std::string& root, const std::string& contents) {
    return Exists(StoredPath(root, ChunkFile(contents).id));
  }

  // Runs `body` in a child with a tmpfs of its own, mounted with `options`; skips the test where that is forbidden.
  void OnSmallDisk(const std::string& options, const std::function<void(const std::string& disk)>& body) {
    const std::string disk = scratch_.path() + "/disk";
    std::filesystem::create_directory(disk);
    const bool ran = InChild([&] {
      if (!MountPrivately(disk, options)) {
        printf("cannot mount a small disk here: %s\n", std::strerror(errno));
        return kSkip;
      }
      body(disk);
      return 0;
    });
    if (!ran) GTEST_SKIP() << "mounting a small disk is not permitted here: neither root nor user namespaces";
  }
  // In a mount namespace of its own, and if not root in a user namespace with this one user.
  static bool MountPrivately(const std::string& disk, const std::string& options) {
    const uid_t uid = geteuid();
    const gid_t gid = getegid();
    if (unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) != 0) return false;
    if (uid != 0) {
      WriteFile("/proc/self/setgroups", "deny");
      WriteFile("/proc/self/uid_map", absl::StrCat(uid, " ", uid, " 1"));
      WriteFile("/proc/self/gid_map", absl::StrCat(gid, " ", gid, " 1"));
    }
    return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           mount("dtest", disk.c_str(), "tmpfs", 0, (options + ",mode=0700").c_str()) == 0;
  }

  ScratchDirectory scratch_;
  const std::string root_ = scratch_.path() + "/store";
  Coordinator coordinator_;
};

TEST_F(StoreSharingTest, KilledAgentsLeftoversAreRemovedByTheNext) {
  coordinator_.Add("a");
  const FileRecipe half = ChunkFile(RandomBytes(1, 200000));
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::unique_ptr<Store> store = OpenStore(root_, "killed");
    coordinator_.Ship(store.get(), {FileEntry("a", "a")});
    bool good = store->Materialise({FileEntry("dir/a", "a")}).ok() && store->AddRecipe(half, false).ok();
    if (write(ready[1], good ? "y" : "n", 1) != 1) _exit(1);
    while (true) pause();
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');

  OpenStore(root_, "second").reset();
  EXPECT_TRUE(Exists(root_ + "/trees/killed/dir/a")) << "a living run's tree stays";
  EXPECT_EQ(EntriesIn(root_ + "/tmp/killed"), 1u);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(Exists(root_ + "/trees/killed/dir/a"));

  std::unique_ptr<Store> third = OpenStore(root_, "third");
  EXPECT_THAT(std::filesystem::path(third->tree()).filename(), "third");
  EXPECT_EQ(EntriesIn(root_ + "/trees"), 1u);
  EXPECT_EQ(EntriesIn(root_ + "/tmp"), 1u);
  EXPECT_EQ(EntriesIn(root_ + "/runs"), 1u);
  EXPECT_THAT(third->Missing({FileEntry("a", "a")}), IsEmpty()) << "what was complete is kept";
  close(ready[0]);
  close(ready[1]);
}

TEST_F(StoreSharingTest, SameRunTwiceOnOneHostGetsTwoTrees) {
  // One machine under two names in hosts.txt.
  std::unique_ptr<Store> one = OpenStore(root_, "run"), two = OpenStore(root_, "run"), three = OpenStore(root_, "run");
  EXPECT_EQ(one->tree(), root_ + "/trees/run");
  EXPECT_EQ(two->tree(), root_ + "/trees/run~2");
  EXPECT_EQ(three->tree(), root_ + "/trees/run~3");
  one.reset();
  EXPECT_EQ(OpenStore(root_, "run")->tree(), root_ + "/trees/run");
  EXPECT_TRUE(Exists(two->tree()));
}

TEST_F(StoreSharingTest, DeadRunsTreeIsRemovedWithoutTheStoresLock) {
  std::unique_ptr<Store> store = OpenStore(root_, "dead");
  std::filesystem::create_directories(root_ + "/killed");
  WriteFile(root_ + "/killed/file", "what a test left");
  store.reset();
  const auto die = [&] {
    std::filesystem::copy(root_ + "/killed", root_ + "/trees/dead", std::filesystem::copy_options::recursive);
    const timespec times[2] = {{1, 0}, {1, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, (root_ + "/trees/dead").c_str(), times, 0), 0);
  };
  std::filesystem::create_directory(root_ + "/removed");
  {
    // A remover that never comes to its end.
    const Fd busy = store::Open(root_ + "/removed", O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(store::Lock(busy.get(), LOCK_EX), 0);
    for (size_t dead = 1; dead <= 2; ++dead) {
      die();
      EXPECT_EQ(OpenStore(root_, "dead")->tree(), root_ + "/trees/dead");
      EXPECT_EQ(EntriesIn(root_ + "/removed"), 2 * dead);
    }
  }
  std::unique_ptr<Store> next = OpenStore(root_, "next");
  store::RubbishRemover::RemoveNow(root_);
  EXPECT_EQ(EntriesIn(root_ + "/removed"), 0u);
}

// What another host on this store looks like, where flock(2) does not reach beyond a host.
TEST_F(StoreSharingTest, RunOfAnotherHostIsDeadOnlyAfterAWeek) {
  OpenStore(root_, "earlier").reset();
  const std::string file = root_ + "/runs/run";
  WriteFile(file, std::string(Digest::kSize, 'B'));
  std::filesystem::create_directories(root_ + "/trees/run/d");
  std::filesystem::create_directories(root_ + "/trees/seen-before-its-run");
  EXPECT_EQ(OpenStore(root_, "run")->tree(), root_ + "/trees/run~2");
  EXPECT_TRUE(Exists(root_ + "/trees/run/d"));
  EXPECT_TRUE(Exists(root_ + "/trees/seen-before-its-run"));
  const auto set_age = [&](const std::string& path, int days) {
    const timespec time = {::time(nullptr) - days * 24 * 3600, 0};
    const timespec times[2] = {time, time};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  };
  set_age(file, 6);
  set_age(root_ + "/trees/seen-before-its-run", 8);
  OpenStore(root_, "other").reset();
  EXPECT_TRUE(Exists(root_ + "/trees/run/d"));
  EXPECT_FALSE(Exists(root_ + "/trees/seen-before-its-run"));
  set_age(file, 8);
  EXPECT_EQ(OpenStore(root_, "run")->tree(), root_ + "/trees/run");
}

TEST_F(StoreSharingTest, LivingRunIsRegisteredHoweverOthersOfItsNameComeAndGo) {
  const auto work = [&] {
    for (int round = 0; round < 500; ++round) {
      absl::StatusOr<std::unique_ptr<store::Runs>> runs = store::Runs::Open(root_, "run");
      EXPECT_TRUE(runs.ok()) << runs.status();
      if (!runs.ok()) return 1;
      const std::string name = std::filesystem::path((*runs)->tree()).filename();
      EXPECT_TRUE(Exists(root_ + "/runs/" + name)) << "round " << round;
      EXPECT_TRUE(Exists((*runs)->tree())) << "round " << round;
      if (HasFailure()) return 1;
      EXPECT_EQ(rmdir((*runs)->tree().c_str()), 0);
    }
    return 0;
  };
  std::filesystem::create_directory(root_);
  const pid_t child = fork();
  if (child == 0) _exit(work());
  EXPECT_EQ(work(), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(StoreSharingTest, TwoProcessesAtOnceNeverMissAFile) {
  // Both ship, link and unlink the same files over and over; a third evicts all that nobody claims.
  std::vector<std::string> contents;
  std::vector<ManifestEntry> entries;
  for (int i = 0; i < 20; ++i) {
    contents.push_back(RandomBytes(100 + i, 3000 * (i + 1)));
    coordinator_.Add(contents.back());
    entries.push_back(FileEntry(absl::StrCat("d", i % 3, "/f", i), contents.back(), i % 2 == 0));
  }
  const auto work = [&](const std::string& name) {
    for (int round = 0; round < 30; ++round) {
      std::unique_ptr<Store> store = OpenStore(root_, name, 1);
      coordinator_.Ship(store.get(), entries);
      const absl::Status status = store->Materialise(entries);
      EXPECT_TRUE(status.ok()) << status;
      if (!status.ok()) return 1;
      for (size_t i = 0; i < entries.size(); ++i) {
        EXPECT_TRUE(ReadFile(store->tree() + "/" + entries[i].path) == contents[i]) << entries[i].path;
      }
      store->Evict();
    }
    return 0;
  };
  const pid_t child = fork();
  if (child == 0) _exit(work("child") != 0 || HasFailure() ? 1 : 0);
  EXPECT_EQ(work("parent"), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  for (const char* sub : {"/tmp", "/trees", "/runs"}) EXPECT_EQ(EntriesIn(root_ + sub), 0u) << sub;
}

TEST_F(StoreSharingTest, EvictsLeastRecentlyUsedDownToTheLimit) {
  const std::string a = RandomBytes(1, 100000), b = RandomBytes(2, 100000), c = RandomBytes(3, 100000);
  Keep(a, "a", root_);
  Keep(b, "b", root_);
  Keep(c, "c", root_);
  SetUsed(root_, a, 2000);
  SetUsed(root_, b, 1000);
  SetUsed(root_, c, 3000);
  EXPECT_EQ(OpenStore(root_, "run", 300000)->Evict(), 0u) << "just within the limit";
  EXPECT_EQ(OpenStore(root_, "run", 299999)->Evict(), 100000u);
  EXPECT_TRUE(Stored(root_, a));
  EXPECT_FALSE(Stored(root_, b));
  EXPECT_FALSE(Exists(RecordPath(root_, ChunkFile(b).id)));
  EXPECT_TRUE(Stored(root_, c));
}

TEST_F(StoreSharingTest, UseMakesAFileRecent) {
  const std::string a = RandomBytes(1, 100000), b = RandomBytes(2, 100000);
  Keep(a, "a", root_);
  Keep(b, "b", root_);
  SetUsed(root_, a, 1000);
  SetUsed(root_, b, 2000);
  EXPECT_THAT(OpenStore(root_, "user")->Missing({FileEntry("a", a)}), IsEmpty());
  OpenStore(root_, "run", 100000)->Evict();
  EXPECT_TRUE(Stored(root_, a));
  EXPECT_FALSE(Stored(root_, b));
}

TEST_F(StoreSharingTest, FilesOfLivingRunsAreNotEvicted) {
  const std::string mine = RandomBytes(1, 100000), linked = RandomBytes(2, 100000), asked = RandomBytes(3, 100000),
                    nobodys = RandomBytes(4, 100000);
  for (const std::string& contents : {mine, linked, asked, nobodys}) Keep(contents, "earlier", root_);
  std::unique_ptr<Store> one = OpenStore(root_, "one"), two = OpenStore(root_, "two");
  ASSERT_TRUE(one->Materialise({FileEntry("linked", linked)}).ok());
  ASSERT_THAT(two->Missing({FileEntry("asked", asked)}), IsEmpty());
  std::unique_ptr<Store> store = OpenStore(root_, "run", 0);
  ASSERT_THAT(store->Missing({FileEntry("mine", mine)}), IsEmpty());
  EXPECT_EQ(store->Evict(), 100000u);
  EXPECT_FALSE(Stored(root_, nobodys));
  EXPECT_TRUE(Stored(root_, mine));
  EXPECT_TRUE(Stored(root_, linked));
  EXPECT_TRUE(Stored(root_, asked));
  one.reset();
  two.reset();
  EXPECT_EQ(store->Evict(), 200000u);
  EXPECT_TRUE(Stored(root_, mine));
}

TEST_F(StoreSharingTest, EvictionFindsLeftoversAndYieldsToAnother) {
  Keep("a", "a", root_);
  Keep("b", "b", root_);
  std::filesystem::remove(RecordPath(root_, ChunkFile("a").id));
  std::filesystem::remove(StoredPath(root_, ChunkFile("b").id));
  std::unique_ptr<Store> store = OpenStore(root_, "run");
  {
    const std::optional<Fd> busy = store::Runs::LockExclusively(root_, false);
    ASSERT_TRUE(busy.has_value());
    EXPECT_EQ(store->Evict(), 0u);
    EXPECT_TRUE(Stored(root_, "a"));
  }
  EXPECT_EQ(store->Evict(), 1u) << "the file without a record";
  EXPECT_FALSE(Stored(root_, "a"));
  EXPECT_FALSE(Exists(RecordPath(root_, ChunkFile("b").id))) << "and the record without a file";
}

TEST_F(StoreSharingTest, RunThatAddedFilesEvictsAtItsEnd) {
  const std::string old = RandomBytes(1, 100000), fresh = RandomBytes(2, 100000);
  Keep(old, "old", root_);
  coordinator_.Add(fresh);
  coordinator_.Ship(OpenStore(root_, "run", 150000).get(), {FileEntry("f", fresh)});
  EXPECT_FALSE(Stored(root_, old));
  EXPECT_TRUE(Stored(root_, fresh));
}

TEST_F(StoreSharingTest, FullDiskEvictsAndGoesOn) {
  ASSERT_NO_FATAL_FAILURE(OnSmallDisk("size=4m", [&](const std::string& disk) {
    const std::string root = disk + "/store";
    const std::string old = RandomBytes(1, 3 << 20), fresh = RandomBytes(2, 2 << 20);
    Keep(old, "old", root);
    coordinator_.Add(fresh);
    std::unique_ptr<Store> store = OpenStore(root, "run");
    coordinator_.Ship(store.get(), {FileEntry("f", fresh)});
    EXPECT_TRUE(Stored(root, fresh));
    EXPECT_FALSE(Stored(root, old));
    EXPECT_TRUE(store->Materialise({FileEntry("f", fresh)}).ok());
    EXPECT_TRUE(ReadFile(store->tree() + "/f") == fresh);
  }));
}

TEST_F(StoreSharingTest, FullDiskWithNothingToEvictIsOneClearError) {
  ASSERT_NO_FATAL_FAILURE(OnSmallDisk("size=4m", [&](const std::string& disk) {
    const std::string root = disk + "/store";
    const std::string needed = RandomBytes(1, 3 << 20), more = RandomBytes(2, 2 << 20), small = RandomBytes(3, 10000);
    coordinator_.Add(needed);
    coordinator_.Add(more);
    coordinator_.Add(small);
    std::unique_ptr<Store> store = OpenStore(root, "run");
    coordinator_.Ship(store.get(), {FileEntry("needed", needed)});
    absl::Status status;
    coordinator_.Ship(store.get(), {FileEntry("more", more)}, &status);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()), HasSubstr(root + "/tmp/run/"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("No space left on device"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("free space"));
    EXPECT_TRUE(Stored(root, needed)) << "the run's own file is not evicted";
    EXPECT_FALSE(Stored(root, more));
    EXPECT_LT(store->FreeDisk(), 1u << 20);
  }));
}

TEST_F(StoreSharingTest, ChunkReuseOnAFullDiskEvictsAndGoesOn) {
  ASSERT_NO_FATAL_FAILURE(OnSmallDisk("size=4m", [&](const std::string& disk) {
    const std::string root = disk + "/store";
    // Another variant of a stored file needs its bytes a second time, for which the old file must go.
    const std::string old = RandomBytes(1, 2 << 20), kept = RandomBytes(2, 1500000);
    Keep(old, "old", root);
    coordinator_.Add(kept);
    std::unique_ptr<Store> store = OpenStore(root, "run");
    coordinator_.Ship(store.get(), {FileEntry("r", kept)});
    EXPECT_EQ(coordinator_.Ship(store.get(), {FileEntry("x", kept, true)}), 0u);
    EXPECT_TRUE(Exists(StoredPath(root, ChunkFile(kept).id, true)));
    EXPECT_FALSE(Stored(root, old));
  }));
}

TEST_F(StoreSharingTest, ClaimOnADiskThatTheStoreFilledEvicts) {
  ASSERT_NO_FATAL_FAILURE(OnSmallDisk("size=2m", [&](const std::string& disk) {
    const std::string root = disk + "/store";
    const std::string old = RandomBytes(1, 1 << 20);
    Keep(old, "old", root);
    std::unique_ptr<Store> store = OpenStore(root, "run");
    int fd = open((disk + "/other").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const std::string block(4096, 'x');
    while (write(fd, block.data(), block.size()) > 0) continue;
    close(fd);
    coordinator_.Add("new");
    coordinator_.Ship(store.get(), {FileEntry("f", "new")});
    EXPECT_TRUE(Stored(root, "new"));
    EXPECT_FALSE(Stored(root, old));
  }));
}

TEST_F(StoreSharingTest, OpenOnADiskThatTheStoreFilledEvicts) {
  ASSERT_NO_FATAL_FAILURE(OnSmallDisk("size=4m,nr_inodes=60", [&](const std::string& disk) {
    const std::string root = disk + "/store";
    for (int i = 0; i < 5; ++i) Keep(absl::StrCat("old ", i), "old", root);
    std::filesystem::create_directory(disk + "/others");
    for (int i = 0;; ++i) {
      const int fd = open(absl::StrCat(disk, "/others/", i).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      if (fd < 0) break;
      close(fd);
    }
    EXPECT_NE(OpenStore(root, "run"), nullptr);
    EXPECT_FALSE(Stored(root, "old 0"));
  }));
}

TEST_F(StoreSharingTest, FullInodeTableIsAFullDisk) {
  ASSERT_NO_FATAL_FAILURE(OnSmallDisk("size=4m,nr_inodes=12", [&](const std::string& disk) {
    const absl::Status status = Store::Open({disk + "/store", "run"}).status();
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open({disk + "/store", "run"});
    absl::Status result = status;
    for (int i = 0; i < 10 && result.ok() && store.ok(); ++i) {
      const std::string contents = absl::StrCat("file ", i);
      coordinator_.Add(contents);
      coordinator_.Ship(store->get(), {FileEntry("f", contents)}, &result);
    }
    EXPECT_EQ(result.code(), absl::StatusCode::kResourceExhausted) << result;
  }));
}

TEST_F(StoreSharingTest, ReadOnlyStoreIsOneClearError) {
  ASSERT_NO_FATAL_FAILURE(OnSmallDisk("size=4m", [&](const std::string& disk) {
    const std::string root = disk + "/store";
    Keep("a", "a", root);
    ASSERT_EQ(mount("dtest", disk.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr), 0) << std::strerror(errno);
    const absl::Status status = Store::Open({root, "run"}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
    EXPECT_THAT(std::string(status.message()), HasSubstr(root));
    EXPECT_THAT(std::string(status.message()), HasSubstr("Read-only file system; make it writable"));
  }));
}

}  // namespace
}  // namespace dtest
