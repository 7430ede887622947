#include <capnp/message.h>
#include <kj/exception.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dtest.capnp.h"
#include "protocol/codec.h"

namespace dtest {
namespace {

constexpr size_t kWordBytes = sizeof(capnp::word);

capnp::Data::Reader Bytes(absl::string_view text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

// A limit or a wait, which may be for ever.
int64_t Nanoseconds(absl::Duration duration) {
  if (duration > kLongestDuration) return std::numeric_limits<int64_t>::max();
  return std::max<int64_t>(0, absl::ToInt64Nanoseconds(duration));
}

int64_t MeasuredNanoseconds(absl::Duration duration) { return Nanoseconds(std::min(duration, kLongestDuration)); }

uint64_t ByteCount(uint64_t bytes) { return std::min(bytes, kMostBytes); }

template <typename ListBuilder>
void SetStrings(ListBuilder out, const std::vector<std::string>& strings) {
  for (uint32_t i = 0; i < strings.size(); ++i) out.set(i, Bytes(strings[i]));
}

template <typename ListBuilder>
void SetPairs(ListBuilder out, const std::vector<std::pair<std::string, std::string>>& pairs) {
  for (uint32_t i = 0; i < pairs.size(); ++i) {
    auto pair = out[i];
    pair.setKey(Bytes(pairs[i].first));
    pair.setValue(Bytes(pairs[i].second));
  }
}

void CopyDigest(const Digest& digest, capnp::Data::Builder out, size_t position) {
  std::memcpy(out.begin() + position * Digest::kSize, digest.bytes().data(), Digest::kSize);
}

void SetDigests(capnp::Data::Builder out, const std::vector<Digest>& digests) {
  for (size_t i = 0; i < digests.size(); ++i) CopyDigest(digests[i], out, i);
}

void SetSetup(wire::Setup::Builder out, const Setup& setup) {
  out.setCommand(Bytes(setup.command));
  out.setTeardown(Bytes(setup.teardown));
  out.setTimeLimit(Nanoseconds(setup.time_limit));
}

void Write(const Welcome& welcome, wire::Envelope::Builder envelope) {
  auto out = envelope.initWelcome();
  out.setHeartbeatInterval(Nanoseconds(welcome.heartbeat_interval));
  out.setLeaseTimeout(Nanoseconds(welcome.lease_timeout));
  out.setWorkerBase(welcome.worker_base);
  out.setWorkerCount(welcome.worker_count);
  out.setPeerPublicKey(Bytes(welcome.peer_public_key));
  out.setPeerSecretKey(Bytes(welcome.peer_secret_key));
  const RunSettings& from = welcome.settings;
  auto settings = out.initSettings();
  settings.setRunId(Bytes(from.run_id));
  settings.setHostName(Bytes(from.host_name));
  settings.setSlots(from.slots);
  settings.setSandbox(static_cast<uint8_t>(from.sandbox));
  settings.setKeepAllOutput(from.keep_all_output);
  settings.setRunDisabled(from.run_disabled);
  settings.setAdaptSlots(from.adapt_slots);
  settings.setListTimeout(Nanoseconds(from.list_timeout));
  settings.setKillGrace(Nanoseconds(from.kill_grace));
  settings.setLeakTimeout(Nanoseconds(from.leak_timeout));
  settings.setOutputCap(ByteCount(from.output_cap));
  SetPairs(settings.initEnv(from.env.size()), from.env);
  settings.setWorkingDirectory(Bytes(from.working_directory));
  settings.setStoreLimit(ByteCount(from.store_limit));
  SetSetup(settings.initHostSetup(), from.host_setup);
  SetSetup(settings.initSlotSetup(), from.slot_setup);
  auto environment = settings.initEnvironment();
  environment.setCommand(Bytes(from.environment.command));
  environment.setCheck(Bytes(from.environment.check));
  if (!from.environment.command.empty()) environment.setKey(Bytes(from.environment.key.bytes()));
  environment.setWorkingDirectory(Bytes(from.environment.working_directory));
  environment.setPath(Bytes(from.environment.path));
  environment.setPackages(Bytes(from.environment.packages));
  environment.setTimeLimit(Nanoseconds(from.environment.time_limit));
}

void SetJudging(wire::Judging::Builder out, const Judging& from) {
  SetStrings(out.initPass(from.pass.size()), from.pass);
  SetStrings(out.initFail(from.fail.size()), from.fail);
  SetStrings(out.initSkip(from.skip.size()), from.skip);
  out.setSkipStatus(static_cast<int16_t>(from.skip_status));
  out.setWillFail(from.will_fail);
  out.setDisabled(from.disabled);
}

void Write(const AddUnit& add, wire::Envelope::Builder envelope) {
  const UnitSpec& from = add.spec;
  auto out = envelope.initAddUnit();
  out.setId(from.id.value());
  out.setFramework(Bytes(from.framework));
  out.setPrintsAll(from.prints_all);
  out.setInPlace(from.in_place);
  out.setName(Bytes(from.name));
  out.setPath(Bytes(from.path));
  SetStrings(out.initArguments(from.arguments.size()), from.arguments);
  out.setWorkingDirectory(Bytes(from.working_directory));
  SetPairs(out.initEnv(from.env.size()), from.env);
  auto changes = out.initEnvChanges(from.env_changes.size());
  for (uint32_t i = 0; i < from.env_changes.size(); ++i) {
    changes[i].setName(Bytes(from.env_changes[i].name));
    changes[i].setKind(static_cast<uint8_t>(from.env_changes[i].kind));
    changes[i].setValue(Bytes(from.env_changes[i].value));
    changes[i].setSeparator(Bytes(from.env_changes[i].separator));
  }
  out.setMirrors(Bytes(from.mirrors));
  SetJudging(out.initJudging(), from.judging);
  out.setMachine(Bytes(from.machine));
  out.setInterpreter(Bytes(from.interpreter));
  out.setGlibcNeeded(Bytes(from.glibc_needed));
  out.setLoader(Bytes(from.loader));
  SetStrings(out.initLibraryDirs(from.library_dirs.size()), from.library_dirs);
  SetStrings(out.initBaseLibraryDirs(from.base_library_dirs.size()), from.base_library_dirs);
  SetStrings(out.initHostLibraries(from.host_libraries.size()), from.host_libraries);
  auto files = out.initFiles(from.files.size());
  for (uint32_t i = 0; i < from.files.size(); ++i) {
    const ManifestEntry& entry = from.files[i];
    auto file = files[i];
    file.setPath(Bytes(entry.path));
    if (!entry.file.empty()) file.setFile(Bytes(entry.file.bytes()));
    file.setSymlinkTarget(Bytes(entry.symlink_target));
    file.setSize(ByteCount(entry.size));
    file.setExecutable(entry.executable);
  }
}

void Write(const Prefetch& prefetch, wire::Envelope::Builder out) { out.setPrefetch(prefetch.unit.value()); }
void Write(const List& list, wire::Envelope::Builder out) { out.setList(list.unit.value()); }

// A column of which all is zero is left out.
template <typename Init>
void SetColumn(const CaseInfos& cases, uint32_t CaseInfos::Row::*column, Init init) {
  uint32_t any = 0;
  for (size_t i = 0; i < cases.size(); ++i) any |= cases.row(i).*column;
  if (any == 0) return;
  auto out = init(static_cast<uint32_t>(cases.size()));
  for (uint32_t i = 0; i < cases.size(); ++i) out.set(i, cases.row(i).*column);
}

void SetCases(wire::Cases::Builder out, const CaseInfos& cases) {
  using Row = CaseInfos::Row;
  out.setBytes(Bytes(cases.bytes()));
  SetStrings(out.initTexts(cases.texts().size()), cases.texts());
  auto sizes = out.initNameSizes(cases.size());
  for (uint32_t i = 0; i < cases.size(); ++i) sizes.set(i, cases.row(i).name_size);
  SetColumn(cases, &Row::parameter_size, [&](uint32_t size) { return out.initParameterSizes(size); });
  SetColumn(cases, &Row::suite, [&](uint32_t size) { return out.initSuites(size); });
  SetColumn(cases, &Row::file, [&](uint32_t size) { return out.initFiles(size); });
  SetColumn(cases, &Row::line, [&](uint32_t size) { return out.initLines(size); });
  SetColumn(cases, &Row::labels, [&](uint32_t size) { return out.initLabels(size); });
  SetColumn(cases, &Row::group, [&](uint32_t size) { return out.initGroups(size); });
  SetColumn(cases, &Row::locks, [&](uint32_t size) { return out.initLocks(size); });
}

void Write(const CaseTable& table, wire::Envelope::Builder envelope) {
  auto out = envelope.initCaseTable();
  out.setUnit(table.unit.value());
  SetCases(out.initCases(), table.cases);
  out.setMore(table.more);
}

void Write(const Lease& lease, wire::Envelope::Builder envelope) {
  auto out = envelope.initLease();
  out.setId(lease.id.value());
  out.setUnit(lease.unit.value());
  out.setIteration(lease.iteration);
  out.setUnlistedToo(lease.unlisted_too);
  out.setMayFollow(lease.may_follow);
  out.setSandbox(static_cast<uint8_t>(lease.sandbox));
  if (!lease.env.empty()) SetPairs(out.initEnv(lease.env.size()), lease.env);
  auto indices = out.initIndices(lease.cases.size());
  bool all_first = true, all_alike = true;
  for (uint32_t i = 0; i < lease.cases.size(); ++i) {
    indices.set(i, lease.cases[i].index);
    all_first = all_first && lease.cases[i].attempt == 1;
    all_alike = all_alike && lease.cases[i].time_limit == lease.cases[0].time_limit;
  }
  if (!all_first) {
    auto attempts = out.initAttempts(lease.cases.size());
    for (uint32_t i = 0; i < lease.cases.size(); ++i) attempts.set(i, lease.cases[i].attempt);
  }
  if (!all_alike || (!lease.cases.empty() && lease.cases[0].time_limit != absl::InfiniteDuration())) {
    auto limits = out.initTimeLimits(all_alike ? 1 : lease.cases.size());
    for (uint32_t i = 0; i < limits.size(); ++i) limits.set(i, Nanoseconds(lease.cases[i].time_limit));
  }
}

void Write(const Recall& recall, wire::Envelope::Builder out) { out.setRecall(recall.lease.value()); }
void Write(const Cancel& cancel, wire::Envelope::Builder out) { out.setCancel(cancel.lease.value()); }
void Write(const Interrupt& interrupt, wire::Envelope::Builder out) { out.setInterrupt(Nanoseconds(interrupt.grace)); }
void Write(const Shutdown&, wire::Envelope::Builder out) { out.setShutdown(); }

void Write(const Recipes& recipes, wire::Envelope::Builder envelope) {
  auto out = envelope.initRecipes();
  auto list = out.initRecipes(recipes.recipes.size());
  for (uint32_t i = 0; i < recipes.recipes.size(); ++i) {
    const FileRecipe& from = recipes.recipes[i];
    auto recipe = list[i];
    recipe.setId(Bytes(from.id.bytes()));
    auto digests = recipe.initDigests(from.chunks.size() * Digest::kSize);
    auto sizes = recipe.initSizes(from.chunks.size());
    for (uint32_t chunk = 0; chunk < from.chunks.size(); ++chunk) {
      CopyDigest(from.chunks[chunk].digest, digests, chunk);
      sizes.set(chunk, from.chunks[chunk].size);
    }
  }
  SetDigests(out.initUnknown(recipes.unknown.size() * Digest::kSize), recipes.unknown);
}

void Write(const ChunkData& chunk, wire::Envelope::Builder envelope) {
  auto out = envelope.initChunkData();
  out.setDigest(Bytes(chunk.digest.bytes()));
  out.setZstd(Bytes(chunk.zstd));
}

void Write(const ChunksAt& at, wire::Envelope::Builder envelope) {
  auto out = envelope.initChunksAt();
  out.setPeer(at.peer.value());
  SetStrings(out.initEndpoints(at.endpoints.size()), at.endpoints);
  out.setPublicKey(Bytes(at.public_key));
  SetDigests(out.initChunks(at.chunks.size() * Digest::kSize), at.chunks);
}

void Write(const Hello& hello, wire::Envelope::Builder envelope) {
  auto out = envelope.initHello();
  out.setToken(Bytes(hello.token));
  out.setVersion(Bytes(hello.version));
  out.setMachine(Bytes(hello.machine));
  out.setSystem(Bytes(hello.system));
  out.setGlibc(Bytes(hello.glibc));
  out.setStore(Bytes(hello.store));
  out.setCores(hello.cores);
  out.setMemory(ByteCount(hello.memory));
  out.setFreeDisk(ByteCount(hello.free_disk));
  out.setClock(absl::ToUnixNanos(hello.clock));
}

void Write(const Prepared& prepared, wire::Envelope::Builder envelope) {
  auto out = envelope.initPrepared();
  out.setUnit(prepared.unit.value());
  out.setDrain(prepared.drain);
  out.setError(Bytes(prepared.error));
}

void Write(const Listed& listed, wire::Envelope::Builder envelope) {
  auto out = envelope.initListed();
  out.setUnit(listed.unit.value());
  out.setDuration(MeasuredNanoseconds(listed.duration));
  SetCases(out.initCases(), listed.cases);
  out.setError(Bytes(listed.error));
  out.setOutput(Bytes(listed.output));
  out.setMore(listed.more);
}

void Write(const ListingWrong& wrong, wire::Envelope::Builder envelope) {
  auto out = envelope.initListingWrong();
  out.setUnit(wrong.unit.value());
  out.setError(Bytes(wrong.error));
}

bool HasDetail(const CaseResult& result) {
  return !result.message.empty() || !result.output.empty() || result.output_cut != 0 || !result.properties.empty() ||
         !result.warning.empty() || result.setup > absl::ZeroDuration() || result.teardown > absl::ZeroDuration();
}

void Write(const CaseResult& from, wire::CaseResult::Builder row) {
  row.setIndex(from.index);
  row.setAttempt(from.attempt);
  row.setSlot(from.slot.value());
  row.setOutcome(static_cast<uint8_t>(from.outcome));
  row.setLeaky(from.leaky);
  row.setStart(MeasuredNanoseconds(from.start));
  row.setDuration(MeasuredNanoseconds(from.duration));
  row.setProcess(from.process);
  row.setPlace(from.place);
}

void Write(const CaseResult& from, uint32_t row, wire::CaseDetail::Builder detail) {
  detail.setRow(row);
  detail.setOutputCut(ByteCount(from.output_cut));
  detail.setMessage(Bytes(from.message));
  detail.setOutput(Bytes(from.output));
  detail.setWarning(Bytes(from.warning));
  detail.setSetup(MeasuredNanoseconds(from.setup));
  detail.setTeardown(MeasuredNanoseconds(from.teardown));
  detail.setShared(MeasuredNanoseconds(from.shared));
  if (!from.properties.empty()) SetPairs(detail.initProperties(from.properties.size()), from.properties);
}

void Write(const Results& results, wire::Envelope::Builder envelope) {
  auto out = envelope.initResults();
  out.setLease(results.lease.value());
  out.setUnit(results.unit.value());
  out.setDone(results.done);
  out.setStartup(MeasuredNanoseconds(results.startup));
  out.setFollowed(results.followed);
  auto rows = out.initResults(results.results.size());
  uint32_t detailed = 0;
  for (uint32_t i = 0; i < results.results.size(); ++i) {
    Write(results.results[i], rows[i]);
    detailed += HasDetail(results.results[i]);
  }
  if (!results.late_failures.empty()) {
    auto late = out.initLateFailures(results.late_failures.size());
    for (uint32_t i = 0; i < results.late_failures.size(); ++i) {
      late[i].setTold(static_cast<uint8_t>(results.late_failures[i].told));
      Write(results.late_failures[i].result, late[i].initResult());
      Write(results.late_failures[i].result, 0, late[i].initDetail());
    }
  }
  if (!results.late_properties.empty()) {
    auto late = out.initLateProperties(results.late_properties.size());
    for (uint32_t i = 0; i < results.late_properties.size(); ++i) {
      const LateProperties& from = results.late_properties[i];
      late[i].setIndex(from.index);
      late[i].setAttempt(from.attempt);
      SetPairs(late[i].initProperties(from.properties.size()), from.properties);
    }
  }
  if (detailed == 0) return;
  auto details = out.initDetails(detailed);
  for (uint32_t i = 0, next = 0; next < detailed; ++i) {
    const CaseResult& from = results.results[i];
    if (!HasDetail(from)) continue;
    Write(from, i, details[next++]);
  }
}

void Write(const Released& released, wire::Envelope::Builder out) { out.setReleased(released.lease.value()); }
void Write(const Refused& refused, wire::Envelope::Builder out) { out.setRefused(refused.lease.value()); }

void Write(const Heartbeat& heartbeat, wire::Envelope::Builder envelope) {
  auto out = envelope.initHeartbeat();
  out.setOpenSlots(heartbeat.open_slots);
  auto leases = out.initLeases(heartbeat.leases.size());
  for (uint32_t i = 0; i < heartbeat.leases.size(); ++i) leases.set(i, heartbeat.leases[i].value());
  auto running = out.initRunning(heartbeat.running.size());
  for (uint32_t i = 0; i < heartbeat.running.size(); ++i) {
    const RunningCase& from = heartbeat.running[i];
    auto row = running[i];
    row.setSlot(from.slot.value());
    row.setIndex(from.index);
    row.setLease(from.lease.value());
    row.setElapsed(MeasuredNanoseconds(from.elapsed));
    row.setUnit(from.unit.value());
  }
}

void Write(const Idle&, wire::Envelope::Builder out) { out.setIdle(); }
void Write(const Note& note, wire::Envelope::Builder out) { out.setNote(Bytes(note.text)); }
void Write(const NeedRecipes& need, wire::Envelope::Builder out) {
  SetDigests(out.initNeedRecipes(need.files.size() * Digest::kSize), need.files);
}
void Write(const NeedChunks& need, wire::Envelope::Builder out) {
  const size_t size = need.chunks.size() * Digest::kSize;
  SetDigests(need.anywhere ? out.initNeedChunksAnywhere(size) : out.initNeedChunks(size), need.chunks);
}

void Write(const PeerPort& port, wire::Envelope::Builder envelope) {
  auto out = envelope.initPeerPort();
  out.setAddress(Bytes(port.address));
  out.setPort(static_cast<uint16_t>(port.port));
  out.setPublicKey(Bytes(port.public_key));
}

void Write(const PeerLost& lost, wire::Envelope::Builder envelope) {
  auto out = envelope.initPeerLost();
  out.setPeer(lost.peer.value());
  out.setReason(Bytes(lost.reason));
}

void Write(const FromPeers& from, wire::Envelope::Builder envelope) {
  auto out = envelope.initFromPeers();
  out.setBytes(ByteCount(from.bytes));
  out.setChunks(ByteCount(from.chunks));
}

void Write(const Gathered& gathered, wire::Envelope::Builder envelope) {
  auto out = envelope.initGathered();
  out.setUnit(gathered.unit.value());
  out.setKind(static_cast<uint8_t>(gathered.kind));
  out.setData(Bytes(gathered.data));
}

// Words that the large messages will take, about: a first segment of that size makes one segment of the message. Too
// low costs a second segment, too high costs zeroing memory; neither is wrong.
size_t BytesHint(const std::vector<std::string>& strings) {
  size_t bytes = 0;
  for (const std::string& text : strings) bytes += text.size() + 2 * kWordBytes;
  return bytes;
}
template <typename Message>
size_t BytesHint(const Message&) {
  return 0;
}
size_t BytesHint(const CaseInfos& cases) {
  return cases.bytes().size() + BytesHint(cases.texts()) + cases.size() * 7 * sizeof(uint32_t);
}
size_t BytesHint(const CaseTable& table) { return BytesHint(table.cases); }
size_t BytesHint(const Listed& listed) { return BytesHint(listed.cases) + listed.output.size(); }
size_t BytesHint(const Note& note) { return note.text.size(); }
size_t BytesHint(const Gathered& gathered) { return gathered.data.size(); }
size_t BytesHint(const Lease& lease) { return lease.cases.size() * 2 * sizeof(uint32_t); }  // with limits: twice that
size_t BytesHint(const ChunkData& chunk) { return chunk.zstd.size(); }
size_t BytesHint(const ChunksAt& at) { return at.chunks.size() * Digest::kSize + BytesHint(at.endpoints); }
size_t BytesHint(const AddUnit& add) { return add.spec.files.size() * 20 * kWordBytes; }
size_t BytesHint(const NeedRecipes& need) { return need.files.size() * Digest::kSize; }
size_t BytesHint(const NeedChunks& need) { return need.chunks.size() * Digest::kSize; }
size_t BytesHint(const Recipes& recipes) {
  size_t bytes = recipes.unknown.size() * Digest::kSize;
  for (const FileRecipe& recipe : recipes.recipes)
    bytes += 16 * kWordBytes + recipe.chunks.size() * (Digest::kSize + 4);
  return bytes;
}
size_t BytesHint(const Results& results) {
  size_t bytes = results.results.size() * 5 * kWordBytes;
  for (const CaseResult& result : results.results) {
    if (HasDetail(result)) bytes += 8 * kWordBytes + result.message.size() + result.output.size();
  }
  return bytes;
}

std::string Flatten(capnp::MessageBuilder& message) {
  // Stream framing, written here because capnp's own writer wants a second buffer: number of segments less one, the
  // length of each in words, padding to a word, the segments.
  const auto segments = message.getSegmentsForOutput();
  std::vector<uint32_t> table(segments.size() / 2 * 2 + 2, 0);
  table[0] = static_cast<uint32_t>(segments.size() - 1);
  size_t words = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    table[i + 1] = static_cast<uint32_t>(segments[i].size());
    words += segments[i].size();
  }
  std::string frame;
  frame.reserve(table.size() * sizeof(uint32_t) + words * kWordBytes);
  frame.append(reinterpret_cast<const char*>(table.data()), table.size() * sizeof(uint32_t));
  for (const auto& segment : segments) {
    frame.append(reinterpret_cast<const char*>(segment.begin()), segment.size() * kWordBytes);
  }
  return frame;
}

template <typename Body>
std::string EncodeBody(const Envelope<Body>& envelope) {
  size_t bytes = 512;
  if (envelope.body) bytes += std::visit([](const auto& body) { return BytesHint(body); }, *envelope.body);
  std::string frame;
  // capnp throws for what no frame can hold: a text of half a gigabyte.
  kj::runCatchingExceptions([&] {
    capnp::MallocMessageBuilder message(bytes / kWordBytes);
    auto root = message.initRoot<wire::Envelope>();
    root.setVersion(envelope.version);
    root.setEpoch(envelope.epoch.value());
    root.setSequence(envelope.sequence);
    root.setAcknowledged(envelope.acknowledged);
    if (envelope.body) std::visit([&root](const auto& body) { Write(body, root); }, *envelope.body);
    frame = Flatten(message);
  });
  return frame;
}

}  // namespace

std::string Encode(const Envelope<ToAgent>& envelope) { return EncodeBody(envelope); }
std::string Encode(const Envelope<FromAgent>& envelope) { return EncodeBody(envelope); }

}  // namespace dtest
