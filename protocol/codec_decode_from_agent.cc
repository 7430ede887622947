// Decoding what agents say.

#include "absl/strings/str_cat.h"
#include "protocol/codec.h"
#include "protocol/decoder.h"

namespace dtest {
namespace {

PeerPort Read(wire::PeerPort::Reader in, Decoder& decoder) {
  PeerPort port{Decoder::String(in.getAddress()), in.getPort(), decoder.CurveKey(in.getPublicKey(), "a peer's key")};
  if (port.port == 0) decoder.Fail("port 0");
  return port;
}

PeerLost Read(wire::PeerLost::Reader in, Decoder& decoder) {
  return {decoder.Peer(in.getPeer()), Decoder::String(in.getReason())};
}

FromPeers Read(wire::FromPeers::Reader in, Decoder& decoder) {
  return {decoder.ByteCount(in.getBytes(), "bytes from peers"),
          decoder.ByteCount(in.getChunks(), "the count of chunks from peers")};
}

Gathered Read(wire::Gathered::Reader in, Decoder& decoder) {
  Gathered gathered{decoder.Unit(in.getUnit()),
                    decoder.CheckedEnum(in.getKind(), GatheredKind::kRunner, "kind of what was gathered"),
                    Decoder::String(in.getData())};
  if (gathered.data.empty()) decoder.Fail("nothing was gathered");
  if (gathered.data.size() > kMostGatheredBytes) {
    decoder.Fail(absl::StrCat(gathered.data.size(), " bytes were gathered"));
  }
  return gathered;
}

Hello Read(wire::Hello::Reader in, Decoder& decoder) {
  Hello hello;
  hello.token = Decoder::String(in.getToken());
  hello.version = Decoder::String(in.getVersion());
  hello.machine = Decoder::String(in.getMachine());
  hello.system = Decoder::String(in.getSystem());
  hello.glibc = Decoder::String(in.getGlibc());
  hello.store = Decoder::String(in.getStore());
  hello.cores = decoder.InRange(in.getCores(), 1, kMostSlots, "the count of cores");
  hello.memory = decoder.ByteCount(in.getMemory(), "the memory of a host");
  hello.free_disk = decoder.ByteCount(in.getFreeDisk(), "the free space of a host");
  hello.clock = absl::FromUnixNanos(in.getClock());
  return hello;
}

Prepared Read(wire::Prepared::Reader in, Decoder& decoder) {
  return {decoder.Unit(in.getUnit()), Decoder::String(in.getError()), in.getDrain()};
}

Listed Read(wire::Listed::Reader in, Decoder& decoder) {
  Listed listed;
  listed.unit = decoder.Unit(in.getUnit());
  listed.duration = decoder.Measured(in.getDuration(), "duration of a listing");
  listed.cases = decoder.Cases(in.getCases());
  listed.error = Decoder::String(in.getError());
  listed.output = Decoder::String(in.getOutput());
  listed.more = in.getMore();
  return listed;
}

CaseResult Read(wire::CaseResult::Reader in, Decoder& decoder) {
  CaseResult result;
  result.index = decoder.CaseIndex(in.getIndex());
  result.attempt = decoder.Attempt(in.getAttempt());
  result.slot = decoder.Slot(in.getSlot());
  result.outcome = decoder.CheckedEnum(in.getOutcome(), Outcome::kNotRun, "outcome");
  result.leaky = in.getLeaky();
  result.start = decoder.Measured(in.getStart(), "start of a case");
  result.duration = decoder.Measured(in.getDuration(), "duration of a case");
  result.process = in.getProcess();
  result.place = in.getPlace();
  return result;
}

void Read(wire::CaseDetail::Reader in, CaseResult* result, Decoder& decoder) {
  result->output_cut = decoder.ByteCount(in.getOutputCut(), "bytes cut from an output");
  result->message = Decoder::String(in.getMessage());
  result->output = Decoder::String(in.getOutput());
  result->warning = Decoder::String(in.getWarning());
  result->setup = decoder.Measured(in.getSetup(), "set-up of a case");
  result->teardown = decoder.Measured(in.getTeardown(), "tear-down of a case");
  result->shared = decoder.Measured(in.getShared(), "shared set-up of a case");
  result->properties = decoder.Pairs(in.getProperties(), "properties");
}

ListingWrong Read(wire::ListingWrong::Reader in, Decoder&) {
  return {UnitId(in.getUnit()), Decoder::String(in.getError())};
}

Results Read(wire::Results::Reader in, Decoder& decoder) {
  Results results;
  results.lease = LeaseId(in.getLease());
  results.unit = decoder.Unit(in.getUnit());
  results.done = in.getDone();
  results.startup = decoder.Measured(in.getStartup(), "start-up time");
  results.followed = in.getFollowed();
  const auto rows = in.getResults();
  results.results.reserve(decoder.Length(rows.size(), "results", kMaxResultsPerMessage));
  if (!decoder.ok()) return results;
  for (const auto row : rows) results.results.push_back(Read(row, decoder));
  int64_t last_row = -1;
  for (const auto detail : in.getDetails()) {
    if (detail.getRow() <= last_row || detail.getRow() >= results.results.size()) {
      decoder.Fail(absl::StrCat("details of result ", detail.getRow(), " out of order or of none"));
      return results;
    }
    last_row = detail.getRow();
    Read(detail, &results.results[last_row], decoder);
  }
  const auto failures = in.getLateFailures();
  results.late_failures.resize(decoder.Length(failures.size(), "late failures", kMaxResultsPerMessage));
  for (uint32_t i = 0; i < results.late_failures.size(); ++i) {
    LateFailure& late = results.late_failures[i];
    late.told = decoder.CheckedEnum(failures[i].getTold(), Outcome::kNotRun, "outcome told before");
    late.result = Read(failures[i].getResult(), decoder);
    Read(failures[i].getDetail(), &late.result, decoder);
    if (!IsFailure(late.result.outcome)) decoder.Fail("a late failure that is none");
  }
  const auto late = in.getLateProperties();
  results.late_properties.resize(decoder.Length(late.size(), "cases with late properties", kMaxResultsPerMessage));
  for (uint32_t i = 0; i < results.late_properties.size(); ++i) {
    results.late_properties[i] = {decoder.CaseIndex(late[i].getIndex()), decoder.Attempt(late[i].getAttempt()),
                                  decoder.Pairs(late[i].getProperties(), "properties")};
    if (results.late_properties[i].properties.empty()) decoder.Fail("late properties without any");
  }
  return results;
}

Heartbeat Read(wire::Heartbeat::Reader in, Decoder& decoder) {
  Heartbeat heartbeat;
  heartbeat.open_slots = decoder.InRange(in.getOpenSlots(), 0, kMostSlots, "the count of open slots");
  const auto leases = in.getLeases();
  heartbeat.leases.resize(decoder.Length(leases.size(), "leases"));
  for (uint32_t i = 0; i < heartbeat.leases.size(); ++i) heartbeat.leases[i] = LeaseId(leases[i]);
  const auto running = in.getRunning();
  heartbeat.running.resize(decoder.Length(running.size(), "running cases"));
  for (uint32_t i = 0; i < heartbeat.running.size(); ++i) {
    const auto row = running[i];
    heartbeat.running[i] = {decoder.Slot(row.getSlot()), LeaseId(row.getLease()), decoder.CaseIndex(row.getIndex()),
                            decoder.Measured(row.getElapsed(), "elapsed time"), decoder.Unit(row.getUnit())};
  }
  return heartbeat;
}

// A body of the other direction and one of a later schema are equally unknown here.
std::optional<FromAgent> ReadFromAgent(wire::Envelope::Reader in, Decoder& decoder) {
  switch (in.which()) {
    case wire::Envelope::NONE:
      return std::nullopt;
    case wire::Envelope::HELLO:
      return Read(in.getHello(), decoder);
    case wire::Envelope::PREPARED:
      return Read(in.getPrepared(), decoder);
    case wire::Envelope::LISTED:
      return Read(in.getListed(), decoder);
    case wire::Envelope::RESULTS:
      return Read(in.getResults(), decoder);
    case wire::Envelope::LISTING_WRONG:
      return Read(in.getListingWrong(), decoder);
    case wire::Envelope::RELEASED:
      return Released{LeaseId(in.getReleased())};
    case wire::Envelope::REFUSED:
      return Refused{LeaseId(in.getRefused())};
    case wire::Envelope::HEARTBEAT:
      return Read(in.getHeartbeat(), decoder);
    case wire::Envelope::IDLE:
      return Idle{};
    case wire::Envelope::NOTE:
      return Note{Decoder::String(in.getNote())};
    case wire::Envelope::NEED_RECIPES:
      return NeedRecipes{decoder.Digests(in.getNeedRecipes(), "needed recipes")};
    case wire::Envelope::NEED_CHUNKS:
      return NeedChunks{decoder.Digests(in.getNeedChunks(), "needed chunks"), false};
    case wire::Envelope::NEED_CHUNKS_ANYWHERE:
      return NeedChunks{decoder.Digests(in.getNeedChunksAnywhere(), "needed chunks"), true};
    case wire::Envelope::PEER_PORT:
      return Read(in.getPeerPort(), decoder);
    case wire::Envelope::PEER_LOST:
      return Read(in.getPeerLost(), decoder);
    case wire::Envelope::FROM_PEERS:
      return Read(in.getFromPeers(), decoder);
    case wire::Envelope::GATHERED:
      return Read(in.getGathered(), decoder);
    default:
      decoder.Fail(absl::StrCat("message ", static_cast<int>(in.which()), " is none that a coordinator receives"));
      return std::nullopt;
  }
}

}  // namespace

absl::StatusOr<Envelope<FromAgent>> DecodeFromAgent(absl::string_view frame) {
  return DecodeEnvelope<FromAgent>(frame, "agent", "dtest", ReadFromAgent);
}

}  // namespace dtest
