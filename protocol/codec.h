// Cap'n Proto encoding of the messages in dtest/messages.h, after protocol/dtest.capnp. Only codec_encode.cc and
// decoder.h, for codec_decode_*.cc, include capnp. Free functions, no state, any thread.
//
// Decoding never throws and never trusts: bytes that are not a message, a message of another protocol version, unknown
// union members, counts or sizes out of range give InvalidArgument with what was wrong. A frame of another protocol
// version still yields that version in the error ("the agent speaks protocol 2, this dtest 1"), because `version` is
// the first word of the root struct in every version, for ever.
//
// Every number has a bound, so that no sum of some overflows, none becomes negative where it is signed, and nobody who
// allocates memory by one runs out of it. Encode keeps durations and counts of bytes within theirs: it sends the
// largest there is for what is larger, and zero for a negative duration. All other bounds are for the sender to keep.
//
// Durations travel as whole nanoseconds. Limits and waits may be InfiniteDuration, which is also what one beyond
// kLongestDuration becomes. What was measured (a start, a duration, an elapsed time) is never infinite: it would make
// NaN of the first difference.

#ifndef DTEST_PROTOCOL_CODEC_H_
#define DTEST_PROTOCOL_CODEC_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dtest/messages.h"

namespace dtest {

// Longest frame: the decoders refuse, the transports neither send nor receive a longer one. A sender of many outputs or
// names spreads them over several messages.
inline constexpr uint64_t kMaxFrameBytes = 64 << 20;
// Most elements of the lists whose length a sender chooses. They bound what a damaged frame makes a reader allocate.
inline constexpr uint32_t kMaxResultsPerMessage = 1 << 16;
inline constexpr uint32_t kMaxListLength = 1 << 20;

inline constexpr absl::Duration kLongestDuration = absl::Hours(24 * 36525);  // 100 years
inline constexpr uint64_t kMostBytes = uint64_t{1}
                                       << 50;      // of memory, a disk, a file or an output; also counts of them
inline constexpr uint32_t kMostSlots = 1 << 16;    // and cores, of a host
inline constexpr uint32_t kMostWorkers = 1 << 30;  // slots of a run
inline constexpr uint32_t kMostUnits = 1 << 20;    // ids are dense
inline constexpr uint32_t kMostHosts = 1 << 20;
inline constexpr uint32_t kMostAttempts = 1 << 20;
inline constexpr uint32_t kMostIterations = 1 << 30;
inline constexpr uint64_t kLastSequence = uint64_t{1} << 62;

// The bytes of one frame (Cap'n Proto stream framing, one segment where possible, word padded). Empty if Cap'n Proto
// cannot hold it at all (a single text of half a gigabyte): no transport sends that.
std::string Encode(const Envelope<ToAgent>& envelope);
std::string Encode(const Envelope<FromAgent>& envelope);

// `frame` needs no alignment (it is copied where it has none).
absl::StatusOr<Envelope<ToAgent>> DecodeToAgent(absl::string_view frame);
absl::StatusOr<Envelope<FromAgent>> DecodeFromAgent(absl::string_view frame);

}  // namespace dtest

#endif  // DTEST_PROTOCOL_CODEC_H_
