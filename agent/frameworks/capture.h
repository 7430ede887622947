// Keeps the head and the tail of a stream of bytes, so that a test that prints gigabytes costs a bounded amount of
// memory and still shows how it began and how it ended. One thread.

#ifndef DTEST_AGENT_FRAMEWORKS_CAPTURE_H_
#define DTEST_AGENT_FRAMEWORKS_CAPTURE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace dtest {

class Capture {
 public:
  // Keeps at most `cap` bytes: half head, half tail.
  explicit Capture(uint64_t cap) : head_cap_(cap - cap / 2), tail_cap_(cap / 2) {}

  void Append(absl::string_view bytes);

  bool empty() const { return total_ == 0; }
  // Bytes that Take will leave out.
  uint64_t cut() const;
  // Head and tail joined (the reader of a report marks the cut where cut() > 0: after the first cap - cap / 2 bytes).
  // Empties the capture.
  std::string Take();
  void Clear();

 private:
  uint64_t head_cap_;
  uint64_t tail_cap_;
  uint64_t total_ = 0;
  std::string head_;
  std::string tail_;      // a ring once it has grown to tail_cap_
  uint64_t tail_at_ = 0;  // where the ring's oldest byte is
};

}  // namespace dtest

#endif  // DTEST_AGENT_FRAMEWORKS_CAPTURE_H_
