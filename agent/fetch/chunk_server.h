// Answers peers that ask for chunks: with what is at hand, when it comes if this host is itself waiting for it, and
// else at once with "no". Takes turns among those who ask, and does a bounded amount of work a turn, so that the
// agent's own work goes on: no peer can have more than kQueueHigh bytes on their way, or kMostAsked questions open
// (those that wait included; a chunk asked for twice is one question).
//
// How long somebody waits is not bounded as long as chunks come to this host: on a slow link all of them wait long, and
// a "no" would only have the coordinator send it once more. Those who wait hear each kCheckEvery that they still do.
//
// A chunk that came lately is kept as it came, compressed; so what all hosts fetch at the same time is compressed once,
// by the coordinator. Others are read from the store, which verifies them, and compressed quickly. All are dropped when
// nothing came and nobody asked for a while.
//
// No clock, no socket: `now` is given, and answers go out through `send`. One thread.

#ifndef DTEST_AGENT_FETCH_CHUNK_SERVER_H_
#define DTEST_AGENT_FETCH_CHUNK_SERVER_H_

#include <algorithm>
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
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/digest.h"
#include "dtest/messages.h"

namespace dtest {

class ChunkServer {
 public:
  static constexpr uint64_t kQueueHigh = 1 << 20;  // bytes
  static constexpr size_t kMostAsked = 4096;       // chunks
  static constexpr absl::Duration kCheckEvery = absl::Seconds(1);

  struct Options {
    std::function<std::optional<std::string>(const Digest&)> read;  // bytes of a chunk that is stored, verified
    std::function<bool(const Digest&)> expected;                    // is being fetched
    // False: this asker is gone.
    std::function<bool(const std::string& asker, ChunkData)> send;
    std::function<bool(const std::string& asker)> still_waits;  // tells it so; false as above
    std::function<uint64_t(const std::string& asker)> queued;   // bytes sent and not yet taken by the system
    uint64_t memory = 64 << 20;                                 // bytes of compressed chunks kept
    uint64_t a_turn = 1 << 20;                                  // bytes read or sent a turn, about
    // An asker hears "no" when it has waited, and no chunk at all has come, for so long.
    absl::Duration wait = absl::Seconds(15);
    absl::Duration keep = absl::Minutes(1);  // compressed chunks, from when one last came or was asked for
  };
  explicit ChunkServer(Options options) : options_(std::move(options)) {}

  void Asked(absl::Time now, const std::string& asker, const NeedChunks& need);
  // A chunk came, and proved right.
  void Arrived(const Digest& digest, absl::string_view zstd);
  struct Served {
    bool sent = false;  // something, to somebody
    bool more = false;  // could be answered in another turn
  };
  // Answers some.
  Served Serve(absl::Time now);
  // When Serve has something to do even if nothing happens.
  absl::Time NextDeadline() const { return std::min(next_check_, drop_at_); }

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
  bool IsOpen(const std::string& asker, const Digest& digest) const;
  void Send(const std::string& asker, const Digest& digest, absl::string_view zstd);
  void Forget(const std::string& asker);
  void CheckWaiting(absl::Time now);
  void DropKept();

  const Options options_;
  // All by asker; none is empty. A question is open while it is asked or waits; of an asker that is gone, the other
  // two may hold a rest.
  std::map<std::string, std::deque<Digest>> asked_;
  absl::flat_hash_map<std::string, absl::flat_hash_set<Digest>> open_;
  std::string last_served_;  // the asker after it has the next turn
  absl::flat_hash_map<Digest, std::vector<Waiting>> waiting_;
  absl::Time next_check_ = absl::InfiniteFuture();  // of `waiting_`; finite while there is any
  bool arrived_ = false;                            // something, since the last Serve
  absl::Time last_arrival_ = absl::InfinitePast();  // as far as Serve has seen
  absl::Time drop_at_ = absl::InfiniteFuture();     // what is kept
  bool sent_ = false;                               // in this Serve
  std::list<Kept> kept_;                            // the newest first
  absl::flat_hash_map<Digest, std::list<Kept>::iterator> kept_index_;
  uint64_t kept_bytes_ = 0;
};

}  // namespace dtest

#endif  // DTEST_AGENT_FETCH_CHUNK_SERVER_H_
