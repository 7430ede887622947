#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dtest.capnp.h"
#include "protocol/codec.h"

namespace dtest {
namespace {

constexpr size_t kWord = sizeof(capnp::word);
constexpr uint32_t kMaxChunkBytes = 256 << 10;
constexpr size_t kCurveKeyBytes = 40;
// Segment table, root pointer and root struct: less cannot be an envelope of any version.
constexpr size_t kSmallestFrame = 3 * kWord;

// Reads the fields of one message. The first thing found wrong is kept in `fault`; after it values are meaningless but
// harmless, and the caller throws them away.
//
// Every pointer is followed once: the traversal limit counts each visit.
class Decoder {
 public:
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

  static Digest DigestAt(capnp::Data::Reader data, size_t position) {
    return *Digest::FromBytes({reinterpret_cast<const char*>(data.begin()) + position * Digest::kSize, Digest::kSize});
  }
};

Welcome Read(wire::Welcome::Reader in, Decoder& decoder) {
  Welcome welcome;
  welcome.heartbeat_interval = decoder.Duration(in.getHeartbeatInterval(), "heartbeat interval");
  welcome.lease_timeout = decoder.Duration(in.getLeaseTimeout(), "lease timeout");
  welcome.worker_base = decoder.InRange(in.getWorkerBase(), 0, kMostWorkers, "the first worker");
  welcome.worker_count = decoder.InRange(in.getWorkerCount(), 0, kMostWorkers, "the count of workers");
  welcome.peer_public_key = decoder.CurveKey(in.getPeerPublicKey(), "a peer's key", /*required=*/false);
  welcome.peer_secret_key = decoder.CurveKey(in.getPeerSecretKey(), "a peer's key", /*required=*/false);
  if (welcome.peer_public_key.empty() != welcome.peer_secret_key.empty()) decoder.Fail("half a key pair");
  const auto from = in.getSettings();
  RunSettings& settings = welcome.settings;
  settings.run_id = Decoder::String(from.getRunId());
  settings.host_name = Decoder::String(from.getHostName());
  settings.slots = decoder.InRange(from.getSlots(), 0, kMostSlots, "the count of slots");
  settings.processes = decoder.CheckedEnum(from.getProcesses(), Processes::kCase, "way to share processes");
  settings.sandbox = decoder.CheckedEnum(from.getSandbox(), Sandbox::kNone, "sandbox");
  settings.keep_all_output = from.getKeepAllOutput();
  settings.run_disabled = from.getRunDisabled();
  settings.case_timeout = decoder.Duration(from.getCaseTimeout(), "case timeout");
  settings.list_timeout = decoder.Duration(from.getListTimeout(), "list timeout");
  settings.kill_grace = decoder.Duration(from.getKillGrace(), "kill grace");
  settings.leak_timeout = decoder.Duration(from.getLeakTimeout(), "leak timeout");
  settings.output_cap = decoder.ByteCount(from.getOutputCap(), "the most bytes of an output");
  settings.env = decoder.Pairs(from.getEnv(), "environment variables");
  settings.working_directory = Decoder::String(from.getWorkingDirectory());
  settings.store_limit = decoder.ByteCount(from.getStoreLimit(), "the limit of the store");
  return welcome;
}

ManifestEntry Read(wire::ManifestEntry::Reader in, Decoder& decoder) {
  ManifestEntry entry;
  entry.path = Decoder::String(in.getPath());
  const auto file = in.getFile();
  if (file.size() != 0) entry.file = decoder.OneDigest(file, "a file's id");
  entry.symlink_target = Decoder::String(in.getSymlinkTarget());
  entry.size = decoder.ByteCount(in.getSize(), "the size of a file");
  entry.executable = in.getExecutable();
  if (entry.path.empty()) decoder.Fail("a manifest entry without a path");
  if (entry.file.empty() == entry.symlink_target.empty()) {
    decoder.Fail("a manifest entry that is not either a file or a symbolic link");
  }
  return entry;
}

AddUnit Read(wire::UnitSpec::Reader in, Decoder& decoder) {
  AddUnit add;
  UnitSpec& spec = add.spec;
  spec.id = decoder.Unit(in.getId());
  spec.framework = Decoder::String(in.getFramework());
  spec.in_place = in.getInPlace();
  spec.name = Decoder::String(in.getName());
  spec.path = Decoder::String(in.getPath());
  spec.arguments = decoder.Strings(in.getArguments(), "arguments");
  spec.working_directory = Decoder::String(in.getWorkingDirectory());
  spec.env = decoder.Pairs(in.getEnv(), "environment variables");
  spec.machine = Decoder::String(in.getMachine());
  spec.interpreter = Decoder::String(in.getInterpreter());
  spec.prints_all = in.getPrintsAll();
  spec.glibc_needed = Decoder::String(in.getGlibcNeeded());
  spec.loader = Decoder::String(in.getLoader());
  spec.library_dirs = decoder.Strings(in.getLibraryDirs(), "library directories");
  spec.base_library_dirs = decoder.Strings(in.getBaseLibraryDirs(), "base library directories");
  spec.host_libraries = decoder.Strings(in.getHostLibraries(), "host libraries");
  const auto files = in.getFiles();
  spec.files.resize(decoder.Length(files.size(), "files"));
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < spec.files.size() && decoder.ok(); ++i) {
    spec.files[i] = Read(files[i], decoder);
    bytes = decoder.ByteCount(bytes + spec.files[i].size, "the size of all files");
  }
  return add;
}

// A column of the cases: as long as they are, or empty.
void ReadColumn(capnp::List<uint32_t>::Reader in, uint32_t CaseInfos::Row::*column, absl::string_view name,
                std::vector<CaseInfos::Row>* rows, Decoder& decoder) {
  if (in.size() == 0) return;
  if (in.size() != rows->size()) {
    return decoder.Fail(absl::StrCat(rows->size(), " cases with ", in.size(), " ", name));
  }
  for (uint32_t i = 0; i < rows->size(); ++i) (*rows)[i].*column = in[i];
}

CaseInfos Read(wire::Cases::Reader in, Decoder& decoder) {
  using Row = CaseInfos::Row;
  const auto sizes = in.getNameSizes();
  std::vector<Row> rows(decoder.Length(sizes.size(), "cases"));
  if (!decoder.ok()) return {};
  ReadColumn(sizes, &Row::name_size, "names", &rows, decoder);
  ReadColumn(in.getParameterSizes(), &Row::parameter_size, "parameters", &rows, decoder);
  ReadColumn(in.getSuites(), &Row::suite, "suites", &rows, decoder);
  ReadColumn(in.getFiles(), &Row::file, "files", &rows, decoder);
  ReadColumn(in.getLines(), &Row::line, "lines", &rows, decoder);
  ReadColumn(in.getLabels(), &Row::labels, "sets of labels", &rows, decoder);
  std::optional<CaseInfos> cases =
      CaseInfos::FromParts(Decoder::String(in.getBytes()), decoder.Strings(in.getTexts(), "texts of cases"), rows);
  if (!cases.has_value()) decoder.Fail("cases whose names or texts do not fit");
  return cases.has_value() ? *std::move(cases) : CaseInfos();
}

CaseTable Read(wire::CaseTable::Reader in, Decoder& decoder) {
  return {decoder.Unit(in.getUnit()), Read(in.getCases(), decoder)};
}

Lease Read(wire::Lease::Reader in, Decoder& decoder) {
  Lease lease{LeaseId(in.getId()),
              decoder.Unit(in.getUnit()),
              {},
              decoder.InRange(in.getIteration(), 1, kMostIterations, "an iteration")};
  const auto indices = in.getIndices();
  const auto attempts = in.getAttempts();
  const auto limits = in.getTimeLimits();
  lease.cases.resize(decoder.Length(indices.size(), "cases"));
  if (indices.size() == 0) decoder.Fail("a lease without cases");
  const bool all_first = attempts.size() == 0;
  if (!all_first && attempts.size() != indices.size()) {
    decoder.Fail(absl::StrCat("a lease of ", indices.size(), " cases with ", attempts.size(), " attempts"));
    return lease;
  }
  const bool all_default = limits.size() == 0;
  if (!all_default && limits.size() != indices.size()) {
    decoder.Fail(absl::StrCat("a lease of ", indices.size(), " cases with ", limits.size(), " time limits"));
    return lease;
  }
  for (uint32_t i = 0; i < lease.cases.size(); ++i) {
    lease.cases[i] = {decoder.CaseIndex(indices[i]), all_first ? 1 : decoder.Attempt(attempts[i])};
    if (!all_default) lease.cases[i].time_limit = decoder.Duration(limits[i], "time limit of a case");
  }
  return lease;
}

FileRecipe Read(wire::FileRecipe::Reader in, Decoder& decoder) {
  FileRecipe recipe;
  recipe.id = decoder.OneDigest(in.getId(), "a recipe's id");
  const auto digests = in.getDigests();
  const auto sizes = in.getSizes();
  if (digests.size() != uint64_t{sizes.size()} * Digest::kSize) {
    decoder.Fail(absl::StrCat("a recipe with ", sizes.size(), " sizes and ", digests.size(), " bytes of digests"));
    return recipe;
  }
  recipe.chunks.resize(sizes.size());
  for (uint32_t i = 0; i < recipe.chunks.size(); ++i) {
    recipe.chunks[i] = {Decoder::DigestAt(digests, i), sizes[i]};
    if (sizes[i] == 0 || sizes[i] > kMaxChunkBytes) decoder.Fail(absl::StrCat("a chunk of ", sizes[i], " bytes"));
  }
  return recipe;
}

Recipes Read(wire::Recipes::Reader in, Decoder& decoder) {
  Recipes recipes;
  const auto list = in.getRecipes();
  recipes.recipes.resize(decoder.Length(list.size(), "recipes"));
  for (uint32_t i = 0; i < recipes.recipes.size() && decoder.ok(); ++i) recipes.recipes[i] = Read(list[i], decoder);
  recipes.unknown = decoder.Digests(in.getUnknown(), "unknown recipes");
  return recipes;
}

ChunkData Read(wire::ChunkData::Reader in, Decoder& decoder) {
  return {decoder.OneDigest(in.getDigest(), "a chunk's digest"), Decoder::String(in.getZstd())};
}

ChunksAt Read(wire::ChunksAt::Reader in, Decoder& decoder) {
  ChunksAt at;
  at.peer = decoder.Peer(in.getPeer());
  at.endpoints = decoder.Strings(in.getEndpoints(), "endpoints");
  at.public_key = decoder.CurveKey(in.getPublicKey(), "a peer's key");
  at.chunks = decoder.Digests(in.getChunks(), "chunks at a peer");
  if (at.endpoints.empty()) decoder.Fail("a peer without an endpoint");
  return at;
}

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
  return hello;
}

Prepared Read(wire::Prepared::Reader in, Decoder& decoder) {
  return {decoder.Unit(in.getUnit()), Decoder::String(in.getError()), in.getDrain()};
}

Listed Read(wire::Listed::Reader in, Decoder& decoder) {
  Listed listed;
  listed.unit = decoder.Unit(in.getUnit());
  listed.duration = decoder.Measured(in.getDuration(), "duration of a listing");
  listed.cases = Read(in.getCases(), decoder);
  listed.error = Decoder::String(in.getError());
  listed.output = Decoder::String(in.getOutput());
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
std::optional<ToAgent> ReadBody(wire::Envelope::Reader in, Decoder& decoder, std::type_identity<ToAgent>) {
  switch (in.which()) {
    case wire::Envelope::NONE:
      return std::nullopt;
    case wire::Envelope::WELCOME:
      return Read(in.getWelcome(), decoder);
    case wire::Envelope::ADD_UNIT:
      return Read(in.getAddUnit(), decoder);
    case wire::Envelope::PREFETCH:
      return Prefetch{decoder.Unit(in.getPrefetch())};
    case wire::Envelope::LIST:
      return List{decoder.Unit(in.getList())};
    case wire::Envelope::CASE_TABLE:
      return Read(in.getCaseTable(), decoder);
    case wire::Envelope::LEASE:
      return Read(in.getLease(), decoder);
    case wire::Envelope::RECALL:
      return Recall{LeaseId(in.getRecall())};
    case wire::Envelope::CANCEL:
      return Cancel{LeaseId(in.getCancel())};
    case wire::Envelope::INTERRUPT:
      return Interrupt{decoder.Duration(in.getInterrupt(), "grace")};
    case wire::Envelope::SHUTDOWN:
      return Shutdown{};
    case wire::Envelope::RECIPES:
      return Read(in.getRecipes(), decoder);
    case wire::Envelope::CHUNK_DATA:
      return Read(in.getChunkData(), decoder);
    case wire::Envelope::CHUNKS_AT:
      return Read(in.getChunksAt(), decoder);
    default:
      decoder.Fail(absl::StrCat("message ", static_cast<int>(in.which()), " is none that an agent receives"));
      return std::nullopt;
  }
}

std::optional<FromAgent> ReadBody(wire::Envelope::Reader in, Decoder& decoder, std::type_identity<FromAgent>) {
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
    default:
      decoder.Fail(absl::StrCat("message ", static_cast<int>(in.which()), " is none that a coordinator receives"));
      return std::nullopt;
  }
}

// True if the body's place in the sequence is right: session messages have a number, bulk and nothing have none.
template <typename Body>
bool SequenceFits(const Envelope<Body>& envelope) {
  const bool bulk = !envelope.body ||
                    std::visit([](const auto& body) { return IsBulk<std::decay_t<decltype(body)>>(); }, *envelope.body);
  return bulk == (envelope.sequence == 0);
}

template <typename Body>
void DecodeWords(kj::ArrayPtr<const capnp::word> words, absl::string_view sender, absl::string_view receiver,
                 Decoder& decoder, Envelope<Body>& envelope) {
  capnp::ReaderOptions options;
  // Each word of an honest frame is visited once; twice leaves room for capnp's own accounting. What a hostile frame
  // can make us copy by pointing at the same bytes again and again is bounded by that.
  options.traversalLimitInWords = 2 * words.size() + 64;
  // Envelope, Welcome, RunSettings, env, Pair, key is the deepest path.
  options.nestingLimit = 8;
  capnp::FlatArrayMessageReader message(words, options);
  if (message.getEnd() != words.end()) return decoder.Fail("bytes after the end of the message");
  const auto root = message.getRoot<wire::Envelope>();
  envelope.version = root.getVersion();
  if (envelope.version != kProtocolVersion) {
    return decoder.Fail(absl::StrCat("the ", sender, " speaks protocol ", envelope.version, ", this ", receiver, " ",
                                     kProtocolVersion, ": both must be the same dtest"));
  }
  envelope.epoch = Epoch(root.getEpoch());
  envelope.sequence = decoder.InRange(root.getSequence(), 0, kLastSequence, "a sequence");
  envelope.acknowledged = decoder.InRange(root.getAcknowledged(), 0, kLastSequence, "what is acknowledged");
  envelope.body = ReadBody(root, decoder, std::type_identity<Body>());
  if (decoder.ok() && !SequenceFits(envelope)) {
    decoder.Fail(
        absl::StrCat("sequence ", envelope.sequence, " does not go with message ", static_cast<int>(root.which())));
  }
}

template <typename Body>
absl::StatusOr<Envelope<Body>> DecodeBody(absl::string_view frame, absl::string_view sender,
                                          absl::string_view receiver) {
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
  Envelope<Body> envelope;
  Decoder decoder;
  // Catches what capnp throws, and out of memory.
  const auto exception = kj::runCatchingExceptions(
      [&] { DecodeWords(kj::arrayPtr(begin, frame.size() / kWord), sender, receiver, decoder, envelope); });
  KJ_IF_MAYBE (thrown, exception) {
    return broken(thrown->getDescription().cStr());
  }
  if (!decoder.ok()) {
    // A version mismatch is no damage: it is said as it is.
    if (envelope.version != kProtocolVersion) return decoder.fault;
    return broken(decoder.fault.message());
  }
  return envelope;
}

}  // namespace

absl::StatusOr<Envelope<ToAgent>> DecodeToAgent(absl::string_view frame) {
  return DecodeBody<ToAgent>(frame, "coordinator", "agent");
}

absl::StatusOr<Envelope<FromAgent>> DecodeFromAgent(absl::string_view frame) {
  return DecodeBody<FromAgent>(frame, "agent", "dtest");
}

}  // namespace dtest
