// Takes apart what a test binary of Go prints with -test.v: the lines by which package testing says what runs, and all
// else. With -test.v=test2json, since Go 1.20, each of the former begins with the byte 0x16, wherever in a line the
// output was; without, they are lines like others, and a verdict may stand behind an unfinished one. Pure; one thread.
//
//   === RUN   TestA                  === CONT  TestA          goes on after a pause, or it is it that logs
//   (before 1.20)
//   === PAUSE TestA                  === NAME  TestA          it is it that logs; without a name: the package
//   === ATTR  TestA key value        === ARTIFACTS TestA directory
//   --- PASS: TestA (0.01s)              --- SKIP: TestA/sub (0.00s)        FAIL
//   PASS, FAIL                       all have run

#ifndef DTEST_AGENT_FRAMEWORKS_GOTEST_FRAMES_H_
#define DTEST_AGENT_FRAMEWORKS_GOTEST_FRAMES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace dtest {

struct GoFrame {
  enum class Kind : uint8_t { kRun, kPause, kCont, kName, kAttr, kArtifacts, kPass, kFail, kSkip, kEnd };
  Kind kind = Kind::kEnd;
  absl::string_view test = {};  // "TestA/sub"; empty: the package
  absl::string_view text = {};  // of kAttr and kArtifacts: what follows
  absl::Duration took = {};     // of a verdict
};

// One line, without marker and line feed; nullopt: it is none.
std::optional<GoFrame> ParseGoFrame(absl::string_view line);

class GoFrames {
 public:
  static constexpr size_t kLongestFrame = 64 << 10;  // a longer line is text

  class Handler {
   public:
    virtual ~Handler() = default;
    // False: it cannot be here, so somebody else printed it: its line is text.
    virtual bool OnFrame(const GoFrame& frame) = 0;
    virtual void OnText(absl::string_view text) = 0;  // cut anywhere
  };

  explicit GoFrames(bool marked) : marked_(marked) {}

  void Feed(absl::string_view bytes, Handler* handler);
  // What may have been the beginning of a frame is text.
  void End(Handler* handler);

 private:
  void FeedMarked(absl::string_view bytes, Handler* handler);
  void FeedLines(absl::string_view bytes, Handler* handler);
  void Line(absl::string_view line, Handler* handler);  // with its line feed

  const bool marked_;
  std::string unread_;    // what may be a frame: from its marker on, or a line
  bool in_line_ = false;  // of a long line, the beginning of which was text
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_GOTEST_FRAMES_H_
