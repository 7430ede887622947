// Reading what a frame holds without trusting it: shared by the two directions of the codec. Only codec_decode_*.cc and
// decoder.cc include this; see codec.h for what is promised.

#ifndef DTEST_PROTOCOL_DECODER_H_
#define DTEST_PROTOCOL_DECODER_H_

#include <capnp/message.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "dtest.capnp.h"
#include "protocol/codec.h"

namespace dtest {

// Reads the fields of one message. The first thing found wrong is kept in `fault`; after it values are meaningless but
// harmless, and the caller throws them away.
//
// Every pointer is followed once: the traversal limit counts each visit.
class Decoder {
 public:
  static constexpr size_t kCurveKeyBytes = 40;

  absl::Status fault;

  bool ok() const { return fault.ok(); }
  void Fail(absl::string_view what) {
    if (fault.ok()) fault = absl::InvalidArgumentError(what);
  }

  template <typename Enum>
  Enum CheckedEnum(uint8_t value, Enum last, absl::string_view name) {
    if (value > static_cast<uint8_t>(last)) {
      Fail(absl::StrCat("unknown ", name, " ", static_cast<int>(value)));
      return Enum();
    }
    return static_cast<Enum>(value);
  }

  // A limit or a wait, which may be for ever.
  absl::Duration Duration(int64_t nanoseconds, absl::string_view name) {
    if (nanoseconds == std::numeric_limits<int64_t>::max()) return absl::InfiniteDuration();
    return Measured(nanoseconds, name);
  }

  absl::Duration Measured(int64_t nanoseconds, absl::string_view name) {
    const absl::Duration duration = absl::Nanoseconds(nanoseconds);
    if (nanoseconds < 0) Fail(absl::StrCat(name, " is negative"));
    if (duration > kLongestDuration) Fail(absl::StrCat(name, " is ", absl::FormatDuration(duration)));
    return duration;
  }

  template <typename Number>
  Number InRange(Number value, uint64_t least, uint64_t most, absl::string_view name) {
    if (value < least || value > most) Fail(absl::StrCat(name, " is ", value, ", not ", least, " to ", most));
    return value;
  }
  uint64_t ByteCount(uint64_t bytes, absl::string_view name) { return InRange(bytes, 0, kMostBytes, name); }
  uint32_t Attempt(uint32_t attempt) { return InRange(attempt, 1, kMostAttempts, "an attempt"); }
  uint32_t CaseIndex(uint32_t index) { return InRange(index, 0, kMaxListLength - 1, "the index of a case"); }
  UnitId Unit(uint32_t id) { return UnitId(InRange(id, 0, kMostUnits - 1, "the id of a unit")); }
  SlotId Slot(uint32_t slot) { return SlotId(InRange(slot, 0, kMostSlots - 1, "a slot")); }
  HostId Peer(uint32_t peer) { return HostId(InRange(peer, 0, kMostHosts - 1, "a peer")); }

  // 0 (and a fault) if the list is longer than allowed.
  uint32_t Length(uint64_t size, absl::string_view name, uint32_t most = kMaxListLength) {
    if (size <= most) return static_cast<uint32_t>(size);
    Fail(absl::StrCat("a list of ", size, " ", name, ", more than ", most));
    return 0;
  }

  static std::string String(capnp::Data::Reader data) {
    return std::string(reinterpret_cast<const char*>(data.begin()), data.size());
  }

  std::vector<std::string> Strings(capnp::List<capnp::Data>::Reader list, absl::string_view name) {
    std::vector<std::string> strings(Length(list.size(), name));
    for (uint32_t i = 0; i < strings.size(); ++i) strings[i] = String(list[i]);
    return strings;
  }

  std::vector<std::pair<std::string, std::string>> Pairs(capnp::List<wire::Pair>::Reader list, absl::string_view name) {
    std::vector<std::pair<std::string, std::string>> pairs(Length(list.size(), name));
    for (uint32_t i = 0; i < pairs.size(); ++i) pairs[i] = {String(list[i].getKey()), String(list[i].getValue())};
    return pairs;
  }

  Digest OneDigest(capnp::Data::Reader data, absl::string_view name) {
    const std::optional<Digest> digest = Digest::FromBytes({reinterpret_cast<const char*>(data.begin()), data.size()});
    if (!digest) Fail(absl::StrCat(name, " has ", data.size(), " bytes, not ", Digest::kSize));
    return digest.value_or(Digest());
  }

  std::vector<Digest> Digests(capnp::Data::Reader data, absl::string_view name) {
    if (data.size() % Digest::kSize != 0) Fail(absl::StrCat(name, " is not a whole number of digests"));
    std::vector<Digest> digests(Length(data.size() / Digest::kSize, name));
    for (size_t i = 0; i < digests.size(); ++i) digests[i] = DigestAt(data, i);
    return digests;
  }

  // Z85 text; what it says is for ZeroMQ to judge.
  std::string CurveKey(capnp::Data::Reader data, absl::string_view name, bool required = true) {
    if (data.size() != kCurveKeyBytes && (required || data.size() != 0)) {
      Fail(absl::StrCat(name, " has ", data.size(), " characters, not ", kCurveKeyBytes));
    }
    return String(data);
  }

  CaseInfos Cases(wire::Cases::Reader in);

  static Digest DigestAt(capnp::Data::Reader data, size_t position) {
    return *Digest::FromBytes({reinterpret_cast<const char*>(data.begin()) + position * Digest::kSize, Digest::kSize});
  }
};

// What every envelope has, and its root for the body. `sender` and `receiver` are for messages.
struct EnvelopeHead {
  uint32_t version = 0;
  Epoch epoch;
  uint64_t sequence = 0;
  uint64_t acknowledged = 0;
};

// Reads the head, then has `read_body` read the body, which says whether that is one that has a sequence number.
// Nothing that capnp throws comes out of it.
absl::Status DecodeFrame(absl::string_view frame, absl::string_view sender, absl::string_view receiver,
                         EnvelopeHead* head, const std::function<bool(wire::Envelope::Reader, Decoder&)>& read_body);

// `Read` reads a body of this direction; nullopt, and perhaps a fault, if there is none.
template <typename Body>
absl::StatusOr<Envelope<Body>> DecodeEnvelope(absl::string_view frame, absl::string_view sender,
                                              absl::string_view receiver,
                                              std::optional<Body> (*read)(wire::Envelope::Reader, Decoder&)) {
  EnvelopeHead head;
  Envelope<Body> envelope;
  absl::Status status = DecodeFrame(frame, sender, receiver, &head, [&](wire::Envelope::Reader in, Decoder& decoder) {
    envelope.body = read(in, decoder);
    return envelope.body.has_value() &&
           !std::visit([](const auto& body) { return IsBulk<std::decay_t<decltype(body)>>(); }, *envelope.body);
  });
  if (!status.ok()) return status;
  envelope.version = head.version;
  envelope.epoch = head.epoch;
  envelope.sequence = head.sequence;
  envelope.acknowledged = head.acknowledged;
  return envelope;
}

}  // namespace dtest

#endif  // DTEST_PROTOCOL_DECODER_H_
