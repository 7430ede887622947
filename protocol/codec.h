// Cap'n Proto encoding of the messages in dtest/messages.h, after protocol/dtest.capnp. Only codec_encode.cc and
// codec_decode.cc include capnp. Free functions, no state, any thread.
//
// Decoding never throws and never trusts: bytes that are not a message, a message of another protocol version, unknown
// union members, counts or sizes out of range give InvalidArgument with what was wrong. A frame of another protocol
// version still yields that version in the error ("the agent speaks protocol 2, this dtest 1"), because `version` is
// the first word of the root struct in every version, for ever.
//
// Durations travel as whole nanoseconds: InfiniteDuration stays infinite, a negative one is sent as zero, a finite one
// beyond 292 years becomes infinite. Encode does not check the limits below: keeping to them is the sender's part.

#ifndef DTEST_PROTOCOL_CODEC_H_
#define DTEST_PROTOCOL_CODEC_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dtest/messages.h"

namespace dtest {

// Longest frame: the decoders refuse, the transports neither send nor receive a longer one. A sender of many outputs or
// names spreads them over several messages.
inline constexpr uint64_t kMaxFrameBytes = 64 << 20;
// Most elements of the lists whose length a sender chooses. They bound what a damaged frame makes a reader allocate.
inline constexpr uint32_t kMaxResultsPerMessage = 1 << 16;
inline constexpr uint32_t kMaxListLength = 1 << 20;

// The bytes of one frame (Cap'n Proto stream framing, one segment where possible, word padded). Empty if Cap'n Proto
// cannot hold it at all (a single text of half a gigabyte): no transport sends that.
std::string Encode(const Envelope<ToAgent>& envelope);
std::string Encode(const Envelope<FromAgent>& envelope);

// `frame` needs no alignment (it is copied where it has none).
absl::StatusOr<Envelope<ToAgent>> DecodeToAgent(absl::string_view frame);
absl::StatusOr<Envelope<FromAgent>> DecodeFromAgent(absl::string_view frame);

}  // namespace dtest

#endif  // DTEST_PROTOCOL_CODEC_H_
