// Answers peers that ask for chunks: with what is at hand, when it comes if this host is itself waiting for it, and
// else at once with "no". Takes turns among those who ask, and does a bounded amount of work a turn, so that the
// agent's own work goes on: no peer can have more than kQueueHigh bytes on their way, or kMostAsked questions open.
//
// A chunk that came lately is kept as it came, compressed; so what all hosts fetch at the same time is compressed once,
// by the coordinator. Others are read from the store, which verifies them, and compressed quickly.
//
// No clock, no socket: `now` is given, and answers go out through `send`. One thread.

#ifndef DTEST_AGENT_CHUNK_SERVER_H_
#define DTEST_AGENT_CHUNK_SERVER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/digest.h"
#include "dtest/messages.h"

namespace dtest {

class ChunkServer {
 public:
  static constexpr uint64_t kQueueHigh = 1 << 20;  // bytes
  static constexpr size_t kMostAsked = 4096;       // chunks

  struct Options {
    std::function<std::optional<std::string>(const Digest&)> read;  // bytes of a chunk that is stored, verified
    std::function<bool(const Digest&)> expected;                    // is being fetched
    // False: this asker is gone.
    std::function<bool(const std::string& asker, ChunkData)> send;
    std::function<uint64_t(const std::string& asker)> queued;  // bytes sent and not yet taken by the system
    uint64_t memory = 64 << 20;                                // bytes of compressed chunks kept
    uint64_t a_turn = 1 << 20;                                 // bytes read or sent a turn, about
    // An asker hears "no" of a chunk that did not come for so long: before it gives this host up.
    absl::Duration wait = absl::Seconds(7);
  };
  explicit ChunkServer(Options options) : options_(std::move(options)) {}

  void On(absl::Time now, const std::string& asker, const NeedChunks& need);
  // A chunk came, and proved right.
  void Arrived(const Digest& digest, absl::string_view zstd);
  // Answers some. True: there is more that could be answered in another turn.
  bool Serve(absl::Time now);
  // When Serve has something to do even if nothing happens.
  absl::Time NextDeadline() const;

 private:
  struct Waiting {
    std::string asker;
    absl::Time since;
  };
  struct Kept {
    Digest digest;
    std::shared_ptr<const std::string> zstd;
  };

  std::shared_ptr<const std::string> Find(const Digest& digest);
  void Keep(const Digest& digest, std::shared_ptr<const std::string> zstd);
  void AnswerOne(absl::Time now, const std::string& asker, const Digest& digest, uint64_t* work);
  void RefuseLate(absl::Time now);

  const Options options_;
  std::map<std::string, std::deque<Digest>> asked_;  // by asker; none is empty
  std::string last_served_;                          // the asker after it has the next turn
  absl::flat_hash_map<Digest, std::vector<Waiting>> waiting_;
  absl::Time next_check_ = absl::InfiniteFuture();  // of `waiting_`; finite while there is any
  std::list<Kept> kept_;                            // the newest first
  absl::flat_hash_map<Digest, std::list<Kept>::iterator> kept_index_;
  uint64_t kept_bytes_ = 0;
};

}  // namespace dtest

#endif  // DTEST_AGENT_CHUNK_SERVER_H_
