// The messages between coordinator and agents, as plain values. `protocol/PROTOCOL.md` is the specification,
// `protocol/codec.h` turns them into Cap'n Proto bytes and back, `protocol/session.h` delivers those marked [session]
// exactly once and in order for as long as both ends live. Bulk messages, marked [bulk], are idempotent answers to
// requests: they may be lost or doubled, and whoever asked asks again.
//
// The cores (`coordinator/schedule`, `agent/core/agent.h`) speak these types and nothing else, so that they need no
// socket to be tested.

#ifndef DTEST_MESSAGES_H_
#define DTEST_MESSAGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "dtest/case_info.h"
#include "dtest/digest.h"
#include "dtest/ids.h"
#include "dtest/outcome.h"

namespace dtest {

// Raised when a message changes incompatibly. Both ends must have the same; a mismatch is one clear error.
inline constexpr uint32_t kProtocolVersion = 1;

// The framework of units that show no other: one case named after the unit, exit 0 passes, 77 skips, anything else
// fails.
inline constexpr char kPlainFramework[] = "plain";

// What a process is kept from.
enum class Sandbox : uint8_t {
  kNone = 0,       // nothing
  kNoNetwork = 1,  // every address but those of its own host
};

// ---- What is shipped -------------------------------------------------------------------------------------------

struct ChunkRef {
  Digest digest;      // SHA-256 of the chunk's bytes
  uint32_t size = 0;  // uncompressed bytes, 1 .. 262144
  friend bool operator==(const ChunkRef&, const ChunkRef&) = default;
};

// How to build a file from chunks, in order. `id` is the SHA-256 of the recipe itself (see protocol/chunking.h), so a
// recipe can be checked against it and equal files have equal ids everywhere.
struct FileRecipe {
  Digest id;
  std::vector<ChunkRef> chunks;
  friend bool operator==(const FileRecipe&, const FileRecipe&) = default;
};

// One entry of the tree a unit runs in. Paths are relative, '/'-separated, without "." or ".." components or
// empty ones, in the bytes of the file system (any encoding). An agent refuses a manifest with any other path.
struct ManifestEntry {
  std::string path;
  Digest file;                 // id of the contents; empty for a symbolic link
  uint64_t size = 0;           // bytes
  bool executable = false;     // mode 0555, else 0444
  std::string symlink_target;  // relative, stays inside the tree; empty for a file
  friend bool operator==(const ManifestEntry&, const ManifestEntry&) = default;
};

// How a unit of one case is judged by what it prints and how it exits, as CTest does it by its properties of such
// names. The texts are expressions of CMake's (dtest/base/cmake_regex.h).
struct Judging {
  std::vector<std::string> pass = {};  // one of them must be found; then the exit status tells nothing
  std::vector<std::string> fail = {};  // none may be
  std::vector<std::string> skip = {};  // where one is, the case is skipped
  int skip_status = -1;                // of a case that is skipped; -1: none is
  bool will_fail = false;              // it passes where it would fail by these and its status, and the other way round
  bool disabled = false;               // it never runs
  friend bool operator==(const Judging&, const Judging&) = default;
};

// What becomes of a variable that a process finds in its environment.
struct EnvChange {
  enum class Kind : uint8_t { kSet = 0, kUnset = 1, kAppend = 2, kPrepend = 3 };
  std::string name;
  Kind kind = Kind::kSet;
  std::string value;      // of all but kUnset
  std::string separator;  // of kAppend and kPrepend: between the two, unless what is there is empty
  friend bool operator==(const EnvChange&, const EnvChange&) = default;
};

// Everything an agent needs to know about one unit: what is listed and started as one. That is a test executable or
// script, a pytest root, or a test of CTest's.
struct UnitSpec {
  UnitId id;
  std::string name;  // as in reports: unique in the run
  // Of the program: in the tree, or on the file system if `in_place`. A name without '/' that is not in the tree, and
  // an absolute path, are the host's own: an interpreter.
  std::string path;
  // How it is started, for a listing as for a batch: after its path, before what the framework adds.
  std::vector<std::string> arguments;
  std::string working_directory;                         // as RunSettings::working_directory; empty: that one
  std::vector<std::pair<std::string, std::string>> env;  // added after RunSettings::env
  std::vector<EnvChange> env_changes;                    // made after that, in this order
  // The directory of the coordinator that the tree stands for, absolute. Where `arguments` and `env_changes` name it or
  // what is below, they mean the tree's own. Empty: they name nothing there.
  std::string mirrors;
  std::string framework = kPlainFramework;  // a name of dtest/frameworks.def
  Judging judging;                          // where the framework judges so
  bool prints_all = false;                  // what a process prints is all there is to know: needs no report at its end
  std::string machine;                      // ELF machine as `uname -m` prints it; empty for scripts: runs anywhere
  bool in_place = false;                    // same machine as the coordinator: nothing to ship, run `path` as it is
  std::string interpreter;                  // PT_INTERP, e.g. /lib64/ld-linux-x86-64.so.2; empty: static or a script
  std::string glibc_needed;                 // highest GLIBC_ version needed, e.g. "2.34"; empty: none
  std::string loader;                       // tree path of the shipped program loader; empty if none is shipped
  std::vector<std::string> library_dirs;    // tree directories for LD_LIBRARY_PATH, first wins
  std::vector<std::string> base_library_dirs;  // the C library's own: used only where the host's base is not enough
  std::vector<std::string> host_libraries;     // sonames that must be the host's own: drivers and what loads them
  std::vector<ManifestEntry> files;            // all of the tree that this unit needs, itself included
  friend bool operator==(const UnitSpec&, const UnitSpec&) = default;
};

// ---- Coordinator to agent --------------------------------------------------------------------------------------

// Commands of /bin/sh around the tests of a host or of a slot. What the first prints as NAME=VALUE lines becomes
// variables of those tests and of the second.
struct Setup {
  std::string command;        // before the first test; empty: there is none
  std::string teardown;       // when no more test follows, however the run ends; empty: there is none
  absl::Duration time_limit;  // of either
  friend bool operator==(const Setup&, const Setup&) = default;
};

// What tests need of a host beyond their own files: one of command, path and packages, or nothing.
struct HostEnvironment {
  // Made on each host once for each key, and kept in its store.
  std::string command;  // of /bin/sh; makes it in the directory DTEST_ENVIRONMENT
  std::string check;    // of /bin/sh; status 0: it can be used. Before each run; empty: that it was finished is enough
  Digest key;           // another one is another environment
  absl::Duration time_limit;      // of either
  std::string working_directory;  // of both: absolute if in place, else relative to the tree

  std::string path;      // where each host has it, absolute
  std::string packages;  // directories of Python packages in the tree, for PYTHONPATH, relative, separated by ':'
  friend bool operator==(const HostEnvironment&, const HostEnvironment&) = default;
};

// What every test process of the run sees, and its limits but for those of cases, which LeasedCase has.
struct RunSettings {
  std::string run_id;
  std::string host_name;                                 // as in hosts.txt: DTEST_HOST
  uint32_t slots = 0;                                    // 0: as many as the host has cores
  Sandbox sandbox = Sandbox::kNone;                      // of listings; a lease has its own
  absl::Duration list_timeout;                           // of one listing
  absl::Duration kill_grace;                             // between SIGTERM and SIGKILL
  absl::Duration leak_timeout;                           // how long a process' output may stay open after it ended
  uint64_t output_cap = 0;                               // bytes kept of one case's output: half head, half tail
  bool keep_all_output = false;                          // also of cases that pass
  bool run_disabled = false;                             // --gtest_also_run_disabled_tests
  bool adapt_slots = false;                              // use fewer slots where the host has much to do
  std::vector<std::pair<std::string, std::string>> env;  // added to the test's environment
  std::string working_directory;  // absolute if in place, else relative to the tree; empty: the tree's root
  uint64_t store_limit = 0;       // bytes; 0: the agent's default
  Setup host_setup, slot_setup;
  HostEnvironment environment;
  friend bool operator==(const RunSettings&, const RunSettings&) = default;
};

// [session] First message to an agent, in answer to Hello.
struct Welcome {
  RunSettings settings;
  absl::Duration heartbeat_interval;
  absl::Duration lease_timeout;  // the agent stops all tests and exits when it hears nothing for this long
  uint32_t worker_base = 0;      // DTEST_WORKER of the host's slot 0
  uint32_t worker_count = 0;     // DTEST_WORKER_COUNT: slots of the run, as far as they are known by now
  // The CURVE keys (Z85) with which agents of this run connect to one another: who shows them is a peer. Empty: this
  // agent has no peers, and listens for none.
  std::string peer_public_key;
  std::string peer_secret_key;
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

// [session] Known to the agent from now on. Nothing is fetched until a List, Lease or Prefetch needs it.
struct AddUnit {
  UnitSpec spec;
  friend bool operator==(const AddUnit&, const AddUnit&) = default;
};

// [session] Fetch what this unit needs; answered by Prepared.
struct Prefetch {
  UnitId unit;
  friend bool operator==(const Prefetch&, const Prefetch&) = default;
};

// [session] List the cases of a unit; answered by Listed.
struct List {
  UnitId unit;
  friend bool operator==(const List&, const List&) = default;
};

// Cases of a unit are told in parts of at most so many bytes (CaseInfos::MessageBytes) where they are more: a frame is
// limited, and heartbeats wait behind it.
inline constexpr uint64_t kMostListingBytes = 8 << 20;
// A case that takes more can be told in no message.
inline constexpr uint64_t kMostCaseBytes = 32 << 20;
inline constexpr uint32_t kMostCases = 1 << 20;  // of a unit

// [session] The cases of a unit, sent before the first lease on it (not to the agent that listed it in this run: it has
// them).
struct CaseTable {
  UnitId unit;
  CaseInfos cases;
  bool more = false;  // another one follows, with the cases behind these
  friend bool operator==(const CaseTable&, const CaseTable&) = default;
};

struct LeasedCase {
  uint32_t index = 0;
  uint32_t attempt = 1;  // within the lease's iteration
  absl::Duration time_limit = absl::InfiniteDuration();
  friend bool operator==(const LeasedCase&, const LeasedCase&) = default;
};

// [session] Run these cases as one batch, in this order, where the framework has none of its own. Never empty.
struct Lease {
  LeaseId id;
  UnitId unit;
  std::vector<LeasedCase> cases;
  uint32_t iteration = 1;  // of --repeat, of all of its cases: DTEST_ITERATION
  // Its process may also run cases that the unit has and did not list, so that they are noticed. Set for one lease of
  // each unit, in runs without filters.
  bool unlisted_too = false;
  std::vector<std::pair<std::string, std::string>> env = {};  // of its processes: after the run's and the unit's
  bool may_follow = false;  // it may share its process with others of the unit that may: what they share is kept
  Sandbox sandbox = Sandbox::kNone;  // of its processes
  friend bool operator==(const Lease&, const Lease&) = default;
};

// [session] Give this lease back if none of its remaining cases is running: Released or Refused answers.
struct Recall {
  LeaseId lease;
  friend bool operator==(const Recall&, const Recall&) = default;
};

// [session] End this lease, killing its process if it runs; results that had not left yet come first. Answered by
// Released once nothing of it is left; not answered for a lease that is over, since its end has been told.
struct Cancel {
  LeaseId lease;
  friend bool operator==(const Cancel&, const Cancel&) = default;
};

// [session] Drop everything queued; send SIGINT to running tests, and SIGKILL after `grace` (at once if zero). A case
// that fails after its signal is reported, one that passes is not, one cut off is kNotRun. Answered by Idle when no
// test process is left.
struct Interrupt {
  absl::Duration grace;
  friend bool operator==(const Interrupt&, const Interrupt&) = default;
};

// [session] Stop everything, clean up, exit.
struct Shutdown {
  friend bool operator==(const Shutdown&, const Shutdown&) = default;
};

// [bulk] Answer to NeedRecipes. `unknown` ids are not (or no longer) readable on the coordinator.
struct Recipes {
  std::vector<FileRecipe> recipes;
  std::vector<Digest> unknown;
  friend bool operator==(const Recipes&, const Recipes&) = default;
};

// [bulk] Answer to NeedChunks: one chunk, as a zstd frame (RFC 8878). Empty `zstd`: from the coordinator, the chunk can
// no longer be read, the file changed while the run was going on; from a peer, it does not have it.
struct ChunkData {
  Digest digest;
  std::string zstd;
  friend bool operator==(const ChunkData&, const ChunkData&) = default;
};

// [bulk] Answer to some of the chunks of a NeedChunks that says `anywhere`: this peer has them, or will in a moment. It
// is asked with NeedChunks over a link of its own; who gets none from it asks the coordinator again, not `anywhere`.
struct ChunksAt {
  HostId peer;                         // names the peer in PeerLost
  std::vector<std::string> endpoints;  // "address:port", IPv6 in brackets; to be tried in this order
  std::string public_key;              // the peer's, Z85
  std::vector<Digest> chunks;
  friend bool operator==(const ChunksAt&, const ChunksAt&) = default;
};

using ToAgent = std::variant<Welcome, AddUnit, Prefetch, List, CaseTable, Lease, Recall, Cancel, Interrupt, Shutdown,
                             Recipes, ChunkData, ChunksAt>;

// ---- Agent to coordinator --------------------------------------------------------------------------------------

// [session] First message of an agent.
struct Hello {
  std::string token;       // the secret given to the agent when it was launched
  std::string version;     // of the agent, as `dtest --version` prints
  std::string machine;     // uname -m
  std::string system;      // e.g. "Linux 6.1.0"
  std::string glibc;       // the host's own, e.g. "2.36"; empty: none found
  uint32_t cores = 1;      // usable by this process (affinity, cgroup limits)
  uint64_t memory = 0;     // bytes
  uint64_t free_disk = 0;  // bytes, where the store is
  std::string store;       // path of the store on the host
  absl::Time clock;        // of the host, when this was said; compared by `dtest hosts`, and used for nothing
  friend bool operator==(const Hello&, const Hello&) = default;
};

// [session] All files of a unit are in place (or it runs in place): `error` empty. Else it cannot run on this
// host and why ("host is aarch64, executable is x86_64", "no space left on device in ..."): permanent for this run.
struct Prepared {
  UnitId unit;
  std::string error;
  bool drain = false;  // the host can take no more work at all (disk full, read-only): not only this unit
  friend bool operator==(const Prepared&, const Prepared&) = default;
};

// [session] Answer to List, in parts where it is long. `error` non-empty: it could not be listed, and `output` is what
// it printed (capped).
struct Listed {
  UnitId unit;
  CaseInfos cases;
  std::string error;
  std::string output;
  absl::Duration duration;  // of the listing process, start to end: the best first estimate of its start-up cost
  bool more = false;        // another one follows, with the cases behind these
  friend bool operator==(const Listed&, const Listed&) = default;
};

// Properties of a case that were known only after its result had left. They follow those that the result had.
struct LateProperties {
  uint32_t index = 0;
  uint32_t attempt = 1;  // as in the result
  std::vector<std::pair<std::string, std::string>> properties;
  friend bool operator==(const LateProperties&, const LateProperties&) = default;
};

// [session] What the unit runs is not what it listed, and how that shows. Its cases that a process did not know have
// results of their own (infra errors), which follow.
struct ListingWrong {
  UnitId unit;
  std::string error;
  friend bool operator==(const ListingWrong&, const ListingWrong&) = default;
};

// A case whose result came in an earlier message of the lease, and that failed after all: as its process ended.
struct LateFailure {
  Outcome told = Outcome::kPassed;  // of that result
  CaseResult result;                // takes its place
  friend bool operator==(const LateFailure&, const LateFailure&) = default;
};

// [session] Cases of one lease that ended. `done`: the lease is over on this agent, nothing more will come of it; cases
// of it that had no result are back with the scheduler.
struct Results {
  LeaseId lease;
  UnitId unit;
  std::vector<CaseResult> results;
  bool done = false;
  absl::Duration startup;  // when done: from spawn to the first case's start, the last process of the lease
  // Of cases whose results came in earlier messages of the lease. Those of a process come before the lease is done, and
  // no later than the result of the process' last case.
  std::vector<LateProperties> late_properties = {};
  // Of such cases, too, and by the same rule.
  std::vector<LateFailure> late_failures = {};
  bool followed = false;  // when done: it began in the process of another lease, and `startup` is what that took
  friend bool operator==(const Results&, const Results&) = default;
};

// [session] Answers to Recall. Refused: it runs, or is over, or was never known. A Released lease is over; the cases
// that had no result yet are back with the scheduler.
struct Released {
  LeaseId lease;
  friend bool operator==(const Released&, const Released&) = default;
};
struct Refused {
  LeaseId lease;
  friend bool operator==(const Refused&, const Refused&) = default;
};

// What a slot is doing, for SIGUSR1 and for blame when a host is lost.
struct RunningCase {
  SlotId slot;
  LeaseId lease;
  uint32_t index = 0;
  absl::Duration elapsed;
  UnitId unit;
  friend bool operator==(const RunningCase&, const RunningCase&) = default;
};

// [session] Every Welcome::heartbeat_interval, and when `open_slots` changes. The leases are all that the agent holds,
// queued or running: the scheduler takes back any other it thought were there.
struct Heartbeat {
  std::vector<LeaseId> leases;
  std::vector<RunningCase> running;
  uint32_t open_slots = 0;  // how many may have a process; the others wait. 0: all
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

// [session] No test process is left (after Interrupt).
struct Idle {
  friend bool operator==(const Idle&, const Idle&) = default;
};

// [session] Something a person should know ("removed 3 leaked processes", "evicted 1.2 GB from the store").
struct Note {
  std::string text;
  friend bool operator==(const Note&, const Note&) = default;
};

// What a process of a lease has gathered besides verdicts.
enum class GatheredKind : uint8_t {
  kCoverage = 0,  // what it has covered, of a unit that was told to measure it: once a process
  kReports = 1,   // reports of its framework, of a unit whose own reports are written at the end: in parts
  kRunner = 2,    // what runs the unit's tests, for people and to be the same on all hosts: "pytest 8.3.4"
};

// [session] Before the lease is done. `data` is what the unit's framework makes and its reports read; not empty.
struct Gathered {
  UnitId unit;
  GatheredKind kind = GatheredKind::kCoverage;
  std::string data;
  friend bool operator==(const Gathered&, const Gathered&) = default;
};
// What takes more can be told in no message.
inline constexpr uint64_t kMostGatheredBytes = 32 << 20;

// [bulk] Asks for recipes.
struct NeedRecipes {
  std::vector<Digest> files;
  friend bool operator==(const NeedRecipes&, const NeedRecipes&) = default;
};

// [bulk] Asks for chunks. What an agent has asked for and not received is its credit: it never has more than
// kChunkCredit bytes outstanding at the coordinator, so control messages never wait behind more. Also what one agent
// asks another, over their own link.
struct NeedChunks {
  std::vector<Digest> chunks;
  bool anywhere = false;  // ChunksAt is a welcome answer
  friend bool operator==(const NeedChunks&, const NeedChunks&) = default;
};
inline constexpr uint64_t kChunkCredit = 4 << 20;

// [session] The agent listens for peers, in answer to a Welcome with keys. Not sent where it cannot.
struct PeerPort {
  std::string address;     // of this host as its sshd sees it, IPv6 in brackets
  uint32_t port = 0;       // TCP, 1 .. 65535
  std::string public_key;  // of this agent's own CURVE key pair, Z85
  friend bool operator==(const PeerPort&, const PeerPort&) = default;
};

// [session] This agent fetches nothing from that peer any more: send it there no more.
struct PeerLost {
  HostId peer;
  std::string reason;  // for a person
  friend bool operator==(const PeerLost&, const PeerLost&) = default;
};

// [session] What came from peers since the last such message: said before what was fetched is used.
struct FromPeers {
  uint64_t bytes = 0;  // of chunks, compressed
  uint64_t chunks = 0;
  friend bool operator==(const FromPeers&, const FromPeers&) = default;
};

using FromAgent = std::variant<Hello, Prepared, Listed, Results, Released, Refused, Heartbeat, Idle, Note, NeedRecipes,
                               NeedChunks, PeerPort, PeerLost, FromPeers, ListingWrong, Gathered>;

// True for the messages marked [bulk] above.
template <typename Message>
constexpr bool IsBulk() {
  return std::is_same_v<Message, Recipes> || std::is_same_v<Message, ChunkData> || std::is_same_v<Message, ChunksAt> ||
         std::is_same_v<Message, NeedRecipes> || std::is_same_v<Message, NeedChunks>;
}

// ---- Envelope --------------------------------------------------------------------------------------------------

// What travels in one ZeroMQ frame. Session bodies carry sequence numbers 1, 2, 3... of their direction; bulk bodies
// and bare acknowledgements (no body) have sequence 0. `acknowledged` is the highest number received in order.
template <typename Body>
struct Envelope {
  uint32_t version = kProtocolVersion;
  Epoch epoch;  // the agent's, in both directions; frames of another epoch are dropped
  uint64_t sequence = 0;
  uint64_t acknowledged = 0;
  std::optional<Body> body;
};

}  // namespace dtest

#endif  // DTEST_MESSAGES_H_
