// Decoding what the coordinator says.

#include "absl/strings/str_cat.h"
#include "protocol/codec.h"
#include "protocol/decoder.h"

namespace dtest {
namespace {

constexpr uint32_t kMaxChunkBytes = 256 << 10;

Setup Read(wire::Setup::Reader in, Decoder& decoder) {
  return {Decoder::String(in.getCommand()), Decoder::String(in.getTeardown()),
          decoder.Duration(in.getTimeLimit(), "the time limit of a set-up")};
}

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
  settings.sandbox = decoder.CheckedEnum(from.getSandbox(), Sandbox::kNoNetwork, "sandbox");
  settings.keep_all_output = from.getKeepAllOutput();
  settings.run_disabled = from.getRunDisabled();
  settings.adapt_slots = from.getAdaptSlots();
  settings.list_timeout = decoder.Duration(from.getListTimeout(), "list timeout");
  settings.kill_grace = decoder.Duration(from.getKillGrace(), "kill grace");
  settings.leak_timeout = decoder.Duration(from.getLeakTimeout(), "leak timeout");
  settings.output_cap = decoder.ByteCount(from.getOutputCap(), "the most bytes of an output");
  settings.env = decoder.Pairs(from.getEnv(), "environment variables");
  settings.working_directory = Decoder::String(from.getWorkingDirectory());
  settings.store_limit = decoder.ByteCount(from.getStoreLimit(), "the limit of the store");
  settings.host_setup = Read(from.getHostSetup(), decoder);
  settings.slot_setup = Read(from.getSlotSetup(), decoder);
  const auto environment = from.getEnvironment();
  settings.environment.command = Decoder::String(environment.getCommand());
  settings.environment.check = Decoder::String(environment.getCheck());
  if (!settings.environment.command.empty()) {
    settings.environment.key = decoder.OneDigest(environment.getKey(), "the key of an environment");
  }
  settings.environment.working_directory = Decoder::String(environment.getWorkingDirectory());
  settings.environment.path = Decoder::String(environment.getPath());
  settings.environment.packages = Decoder::String(environment.getPackages());
  settings.environment.time_limit = decoder.Duration(environment.getTimeLimit(), "the time limit of an environment");
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

EnvChange Read(wire::EnvChange::Reader in, Decoder& decoder) {
  EnvChange change;
  change.name = Decoder::String(in.getName());
  change.kind = decoder.CheckedEnum(in.getKind(), EnvChange::Kind::kPrepend, "change of a variable");
  change.value = Decoder::String(in.getValue());
  change.separator = Decoder::String(in.getSeparator());
  if (change.name.empty()) decoder.Fail("a change of a variable without a name");
  return change;
}

Judging Read(wire::Judging::Reader in, Decoder& decoder) {
  Judging judging;
  judging.pass = decoder.Strings(in.getPass(), "expressions");
  judging.fail = decoder.Strings(in.getFail(), "expressions");
  judging.skip = decoder.Strings(in.getSkip(), "expressions");
  judging.skip_status = in.getSkipStatus();
  if (judging.skip_status != -1) {
    decoder.InRange(static_cast<uint32_t>(judging.skip_status), 0, 255, "the exit status of a skipped case");
  }
  judging.will_fail = in.getWillFail();
  judging.disabled = in.getDisabled();
  return judging;
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
  const auto changes = in.getEnvChanges();
  spec.env_changes.resize(decoder.Length(changes.size(), "changes of variables"));
  for (uint32_t i = 0; i < spec.env_changes.size() && decoder.ok(); ++i)
    spec.env_changes[i] = Read(changes[i], decoder);
  spec.mirrors = Decoder::String(in.getMirrors());
  spec.judging = Read(in.getJudging(), decoder);
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

CaseTable Read(wire::CaseTable::Reader in, Decoder& decoder) {
  return {decoder.Unit(in.getUnit()), decoder.Cases(in.getCases()), in.getMore()};
}

Lease Read(wire::Lease::Reader in, Decoder& decoder) {
  Lease lease{LeaseId(in.getId()),
              decoder.Unit(in.getUnit()),
              {},
              decoder.InRange(in.getIteration(), 1, kMostIterations, "an iteration"),
              in.getUnlistedToo(),
              decoder.Pairs(in.getEnv(), "environment variables"),
              in.getMayFollow(),
              decoder.CheckedEnum(in.getSandbox(), Sandbox::kNoNetwork, "sandbox")};
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
  if (limits.size() > 1 && limits.size() != indices.size()) {
    decoder.Fail(absl::StrCat("a lease of ", indices.size(), " cases with ", limits.size(), " time limits"));
    return lease;
  }
  const absl::Duration limit_of_all =
      limits.size() == 1 ? decoder.Duration(limits[0], "time limit of a case") : absl::InfiniteDuration();
  for (uint32_t i = 0; i < lease.cases.size(); ++i) {
    lease.cases[i] = {decoder.CaseIndex(indices[i]), all_first ? 1 : decoder.Attempt(attempts[i]), limit_of_all};
    if (limits.size() > 1) lease.cases[i].time_limit = decoder.Duration(limits[i], "time limit of a case");
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

// A body of the other direction and one of a later schema are equally unknown here.
std::optional<ToAgent> ReadToAgent(wire::Envelope::Reader in, Decoder& decoder) {
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

}  // namespace

absl::StatusOr<Envelope<ToAgent>> DecodeToAgent(absl::string_view frame) {
  return DecodeEnvelope<ToAgent>(frame, "coordinator", "agent", ReadToAgent);
}

}  // namespace dtest
