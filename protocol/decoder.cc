#include "protocol/decoder.h"

#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstring>
#include <memory>

namespace dtest {
namespace {

constexpr size_t kWord = sizeof(capnp::word);
// Segment table, root pointer and root struct: less cannot be an envelope of any version.
constexpr size_t kSmallestFrame = 3 * kWord;

// A column of the cases: as long as they are, or empty.
void ReadColumn(capnp::List<uint32_t>::Reader in, uint32_t CaseInfos::Row::*column, absl::string_view name,
                std::vector<CaseInfos::Row>* rows, Decoder& decoder) {
  if (in.size() == 0) return;
  if (in.size() != rows->size()) {
    return decoder.Fail(absl::StrCat(rows->size(), " cases with ", in.size(), " ", name));
  }
  for (uint32_t i = 0; i < rows->size(); ++i) (*rows)[i].*column = in[i];
}

void DecodeWords(kj::ArrayPtr<const capnp::word> words, absl::string_view sender, absl::string_view receiver,
                 Decoder& decoder, EnvelopeHead* head,
                 const std::function<bool(wire::Envelope::Reader, Decoder&)>& read_body) {
  capnp::ReaderOptions options;
  // Each word of an honest frame is visited once; twice leaves room for capnp's own accounting. What a hostile frame
  // can make us copy by pointing at the same bytes again and again is bounded by that.
  options.traversalLimitInWords = 2 * words.size() + 64;
  // Envelope, Welcome, RunSettings, env, Pair, key is the deepest path.
  options.nestingLimit = 8;
  capnp::FlatArrayMessageReader message(words, options);
  if (message.getEnd() != words.end()) return decoder.Fail("bytes after the end of the message");
  const auto root = message.getRoot<wire::Envelope>();
  head->version = root.getVersion();
  if (head->version != kProtocolVersion) {
    return decoder.Fail(absl::StrCat("the ", sender, " speaks protocol ", head->version, ", this ", receiver, " ",
                                     kProtocolVersion, ": both must be the same dtest"));
  }
  head->epoch = Epoch(root.getEpoch());
  head->sequence = decoder.InRange(root.getSequence(), 0, kLastSequence, "a sequence");
  head->acknowledged = decoder.InRange(root.getAcknowledged(), 0, kLastSequence, "what is acknowledged");
  const bool numbered = read_body(root, decoder);
  if (decoder.ok() && numbered != (head->sequence != 0)) {
    decoder.Fail(
        absl::StrCat("sequence ", head->sequence, " does not go with message ", static_cast<int>(root.which())));
  }
}

}  // namespace

CaseInfos Decoder::Cases(wire::Cases::Reader in) {
  using Row = CaseInfos::Row;
  const auto sizes = in.getNameSizes();
  std::vector<Row> rows(Length(sizes.size(), "cases"));
  if (!ok()) return {};
  ReadColumn(sizes, &Row::name_size, "names", &rows, *this);
  ReadColumn(in.getParameterSizes(), &Row::parameter_size, "parameters", &rows, *this);
  ReadColumn(in.getSuites(), &Row::suite, "suites", &rows, *this);
  ReadColumn(in.getFiles(), &Row::file, "files", &rows, *this);
  ReadColumn(in.getLines(), &Row::line, "lines", &rows, *this);
  ReadColumn(in.getLabels(), &Row::labels, "sets of labels", &rows, *this);
  ReadColumn(in.getGroups(), &Row::group, "groups", &rows, *this);
  ReadColumn(in.getLocks(), &Row::locks, "sets of locks", &rows, *this);
  std::optional<CaseInfos> cases =
      CaseInfos::FromParts(String(in.getBytes()), Strings(in.getTexts(), "texts of cases"), rows);
  if (!cases.has_value()) Fail("cases whose names or texts do not fit");
  return cases.has_value() ? *std::move(cases) : CaseInfos();
}

absl::Status DecodeFrame(absl::string_view frame, absl::string_view sender, absl::string_view receiver,
                         EnvelopeHead* head, const std::function<bool(wire::Envelope::Reader, Decoder&)>& read_body) {
  const auto broken = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read a frame of ", frame.size(), " bytes from the ", sender, ": ", why));
  };
  if (frame.size() < kSmallestFrame || frame.size() % kWord != 0) return broken("no such length exists");
  if (frame.size() > kMaxFrameBytes) return broken(absl::StrCat("more than ", kMaxFrameBytes));
  std::unique_ptr<capnp::word[]> copy;
  const capnp::word* begin = reinterpret_cast<const capnp::word*>(frame.data());
  if (reinterpret_cast<uintptr_t>(frame.data()) % alignof(capnp::word) != 0) {
    copy.reset(new capnp::word[frame.size() / kWord]);
    std::memcpy(copy.get(), frame.data(), frame.size());
    begin = copy.get();
  }
  Decoder decoder;
  // Catches what capnp throws, and out of memory.
  const auto exception = kj::runCatchingExceptions(
      [&] { DecodeWords(kj::arrayPtr(begin, frame.size() / kWord), sender, receiver, decoder, head, read_body); });
  KJ_IF_MAYBE (thrown, exception) {
    return broken(thrown->getDescription().cStr());
  }
  if (decoder.ok()) return absl::OkStatus();
  // A version mismatch is no damage: it is said as it is.
  if (head->version != kProtocolVersion) return decoder.fault;
  return broken(decoder.fault.message());
}

}  // namespace dtest
