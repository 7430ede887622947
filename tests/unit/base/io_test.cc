#include "dtest/base/io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

#include "dtest/base/fd.h"
#include "dtest/base/wake.h"

namespace dtest {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

Fd OpenTemporary() {
  std::string path = ::testing::TempDir() + "/io-XXXXXX";
  Fd fd(mkostemp(path.data(), O_CLOEXEC));
  unlink(path.c_str());
  return fd;
}

TEST(Fd, ClosesOnceWhateverOwnsIt) {
  Fd first(open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(first.ok());
  const int number = first.get();
  {
    Fd second = std::move(first);
    EXPECT_EQ(second.get(), number);
    EXPECT_FALSE(first.ok());
    EXPECT_TRUE(IsOpen(number));
    Fd third(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const int replaced = third.get();
    third = std::move(second);
    EXPECT_FALSE(IsOpen(replaced));
  }
  EXPECT_FALSE(IsOpen(number));
}

TEST(Fd, ReleaseGivesItAway) {
  Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = fd.Release();
  fd = Fd();
  EXPECT_TRUE(IsOpen(number));
  EXPECT_EQ(Fd(number).Close(), 0);
}

TEST(Fd, CloseKeepsErrnoAndTellsItsOwnError) {
  const int number = OpenTemporary().Release();
  ASSERT_EQ(close(number), 0);
  errno = ENOSPC;
  EXPECT_EQ(Fd(number).Close(), EBADF);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(Fd().Close(), 0);
}

TEST(Io, WhatIsWrittenAtAnOffsetIsReadThere) {
  const Fd file = OpenTemporary();
  EXPECT_EQ(WriteAt(file.get(), "abcdef", 3), 0);
  char bytes[6] = {};
  EXPECT_EQ(ReadAt(file.get(), bytes, 6, 3), 0);
  EXPECT_EQ(std::string(bytes, 6), "abcdef");
  EXPECT_EQ(lseek(file.get(), 0, SEEK_CUR), 0) << "the position is left alone";
}

TEST(Io, AFileThatEndsTooEarlyIsToldFromAnError) {
  const Fd file = OpenTemporary();
  ASSERT_EQ(WriteAt(file.get(), "abc", 0), 0);
  char bytes[8] = {};
  const ReadCount count = ReadUpTo(file.get(), bytes, 8, 1);
  EXPECT_EQ(count.bytes, 2u);
  EXPECT_EQ(count.error, 0);
  EXPECT_EQ(ReadAt(file.get(), bytes, 8, 1), EIO);
  EXPECT_EQ(ReadUpTo(-1, bytes, 8, 0).error, EBADF);
  EXPECT_EQ(ReadAt(-1, bytes, 8, 0), EBADF);
}

TEST(Io, ReadToEndStopsAtItsLimit) {
  const Fd file = OpenTemporary();
  const std::string contents(100'000, 'x');
  ASSERT_EQ(WriteAll(file.get(), contents), 0);
  std::string all = "before:";
  ASSERT_EQ(lseek(file.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(ReadToEnd(file.get(), contents.size() * 2, &all), 0);
  EXPECT_EQ(all, "before:" + contents);
  std::string some;
  ASSERT_EQ(lseek(file.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(ReadToEnd(file.get(), 50'000, &some), 0);
  EXPECT_EQ(some.size(), 50'000u);
  EXPECT_EQ(ReadToEnd(-1, 1, &some), EBADF);
}

// A socket that takes little at once and does not block: all of it arrives all the same.
TEST(Io, WriteAllWaitsForASlowReader) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  ASSERT_EQ(fcntl(ours.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string sent(4 << 20, 's');
  std::string received;
  std::thread reader([&] { EXPECT_EQ(ReadToEnd(theirs.get(), sent.size(), &received), 0); });
  EXPECT_EQ(WriteAll(ours.get(), sent), 0);
  reader.join();
  EXPECT_TRUE(received == sent);
}

TEST(Io, AReaderThatIsGoneIsAnError) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const Fd write_end(ends[1]);
  Fd(ends[0]).Close();
  EXPECT_EQ(WriteAll(write_end.get(), "x"), EPIPE);
}

TEST(Wake, IsReadableFromTheFirstNotifyToTheNextReset) {
  const Wake wake;
  ASSERT_EQ(wake.error(), 0);
  const auto readable = [&] {
    pollfd item = {wake.fd(), POLLIN, 0};
    return poll(&item, 1, 0) == 1;
  };
  EXPECT_FALSE(readable());
  wake.Notify();
  wake.Notify();
  EXPECT_TRUE(readable());
  wake.Reset();
  EXPECT_FALSE(readable());
  wake.Reset();  // does not block
}

}  // namespace
}  // namespace dtest
