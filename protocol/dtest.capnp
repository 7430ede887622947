# Wire form of include/dtest/messages.h. PROTOCOL.md is the specification; this file is its byte layout.
#
# Shapes and units
#   Durations are Int64 nanoseconds, 0 or more; 9223372036854775807 (the largest Int64) means "for ever".
#   All names, paths and texts are Data: any bytes, any encoding, no terminating zero.
#   A digest is 32 raw bytes (SHA-256). A list of digests is one Data, 32 bytes each, back to back.
#   Lists that run in parallel ("columns") have equal length, or the frame is refused.
#
# The life of every id
#   epoch        one life of an agent process. 64 random bits, chosen by the agent as it starts, never reused. A lost
#                link keeps it (the same process reconnects with the same epoch and goes on); a new process has a new one,
#                and all that was bound to the old epoch (sequences, leases, tables) is gone on that host.
#   sequence     position of a session message in its direction within one epoch: 1, 2, 3... without holes, chosen by the
#                sender. Never reused within the epoch. A lost link destroys nothing: what was not acknowledged is resent.
#   unit         index of a unit (what is listed and started as one) in the bundle: dense from 0, chosen by the
#                coordinator, fixed for the run, the same for all hosts. A lost link or host destroys only that host's
#                knowledge of it.
#   index        position of a case in its unit's listing: dense from 0, fixed by whoever listed it first in this
#                run, fixed for the run.
#   lease        a batch of cases held by one host. Chosen by the scheduler, unique in the run, never reused. Ends by
#                Results.done or Released (which also answers a cancel). A lost link keeps it for as long as both ends
#                live; a lost host or a new epoch destroys it, and its cases go back to the scheduler under a new id.
#   iteration    1-based count of the runs through all cases (--repeat), chosen by the scheduler: one for a whole lease.
#   attempt      1-based count of the tries at one case within an iteration, chosen by the scheduler. Results are keyed by
#                (lease, index, attempt); the first that arrives wins.
#   slot         0-based index of a place to run on one host, chosen by the agent, reused by one lease after another.
#                Means nothing outside its epoch.
#   host         index of a host in the run: dense from 0, chosen by the coordinator, fixed for the run. Names a peer.
#   digest       SHA-256 of contents: chosen by nobody, the same everywhere and for ever.
#   token        16 random bytes, the first not zero, chosen by the coordinator for one launch of one agent, and never
#                reused. It is also the agent's ZeroMQ identity. It dies with that agent process.
#
# Evolution: a field is never removed or renumbered. Anything the other end must understand raises kProtocolVersion.

@0xb23927e7fa15aec2;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("dtest::wire");

struct Envelope {
  # One ZeroMQ frame. `version` is the low half of the first word of the root struct in every version, for ever.
  version @0 :UInt32;
  epoch @1 :UInt64;
  sequence @2 :UInt64;      # 0: not a session message
  acknowledged @3 :UInt64;  # highest sequence received in order
  union {
    none @4 :Void;  # a bare acknowledgement
    # Coordinator to agent.
    welcome @5 :Welcome;
    addUnit @6 :UnitSpec;
    prefetch @7 :UInt32;  # unit
    list @8 :UInt32;      # unit
    caseTable @9 :CaseTable;
    lease @10 :Lease;
    recall @11 :UInt64;    # lease
    cancel @12 :UInt64;    # lease
    interrupt @13 :Int64;  # grace, ns
    shutdown @14 :Void;
    recipes @15 :Recipes;
    chunkData @16 :ChunkData;
    # Agent to coordinator.
    hello @17 :Hello;
    prepared @18 :Prepared;
    listed @19 :Listed;
    results @20 :Results;
    released @21 :UInt64;  # lease
    refused @22 :UInt64;   # lease
    heartbeat @23 :Heartbeat;
    idle @24 :Void;
    note @25 :Data;
    needRecipes @26 :Data;  # digests of files
    needChunks @27 :Data;   # digests of chunks: from the coordinator itself, or from the peer that is asked
    needChunksAnywhere @28 :Data;  # digests of chunks: chunkData or chunksAt
    peerPort @29 :PeerPort;
    peerLost @30 :PeerLost;
    fromPeers @31 :FromPeers;
    chunksAt @32 :ChunksAt;  # coordinator to agent
    listingWrong @33 :ListingWrong;
    gathered @34 :Gathered;
  }
}

struct Pair {
  key @0 :Data;
  value @1 :Data;
}

struct Welcome {
  settings @0 :RunSettings;
  heartbeatInterval @1 :Int64;
  leaseTimeout @2 :Int64;
  workerBase @3 :UInt32;
  workerCount @4 :UInt32;
  peerPublicKey @5 :Data;  # both 40 characters of Z85, or both empty
  peerSecretKey @6 :Data;
}

struct RunSettings {
  runId @0 :Data;
  hostName @1 :Data;
  slots @2 :UInt32;
  keepAllOutput @3 :Bool;
  runDisabled @4 :Bool;
  listTimeout @5 :Int64;
  killGrace @6 :Int64;
  leakTimeout @7 :Int64;
  outputCap @8 :UInt64;  # bytes
  env @9 :List(Pair);
  workingDirectory @10 :Data;
  storeLimit @11 :UInt64;  # bytes
  sandbox @12 :UInt8;  # of listings: 0 none, 1 no network
  adaptSlots @13 :Bool;
  hostSetup @14 :Setup;
  slotSetup @15 :Setup;
  environment @16 :HostEnvironment;
}

struct HostEnvironment {
  command @0 :Data;
  check @1 :Data;
  key @2 :Data;  # one digest; empty where there is no command
  timeLimit @3 :Int64;
  workingDirectory @4 :Data;
  path @5 :Data;
  packages @6 :Data;
}

struct Setup {
  command @0 :Data;
  teardown @1 :Data;
  timeLimit @2 :Int64;
}

struct ManifestEntry {
  path @0 :Data;
  file @1 :Data;  # one digest; empty for a symbolic link
  symlinkTarget @2 :Data;
  size @3 :UInt64;
  executable @4 :Bool;
}

struct UnitSpec {
  id @0 :UInt32;
  framework @1 :Data;  # its name: "plain", "googletest"
  inPlace @2 :Bool;
  name @3 :Data;
  path @4 :Data;
  machine @5 :Data;
  interpreter @6 :Data;
  glibcNeeded @7 :Data;
  loader @8 :Data;
  libraryDirs @9 :List(Data);
  baseLibraryDirs @10 :List(Data);
  files @11 :List(ManifestEntry);
  printsAll @12 :Bool;  # needs no report at the end of a process: no properties, the framework's own printer
  arguments @13 :List(Data);  # before those of the framework
  workingDirectory @14 :Data;  # empty: that of the run's settings
  env @15 :List(Pair);  # after that of the run's settings
  hostLibraries @16 :List(Data);  # sonames that must be the host's own
  envChanges @17 :List(EnvChange);  # after `env`, in this order
  mirrors @18 :Data;  # the coordinator's directory that the tree stands for, in arguments and envChanges
  judging @19 :Judging;
}

struct EnvChange {
  name @0 :Data;
  kind @1 :UInt8;  # 0 set, 1 unset, 2 append, 3 prepend
  value @2 :Data;
  separator @3 :Data;  # of append and prepend: unless what is there is empty
}

struct Judging {
  # Of a unit of one case, by the frameworks that judge so. Expressions are CMake's.
  pass @0 :List(Data);
  fail @1 :List(Data);
  skip @2 :List(Data);
  skipStatus @3 :Int16 = -1;  # an exit status; -1: none
  willFail @4 :Bool;
  disabled @5 :Bool;
}

struct Cases {
  # In listing order, in columns: a case costs its name and 4 bytes a column that is there. Suites, files, groups and
  # sets of labels are numbered texts: 0 is the empty one, n the n-th of `texts`. A column but the first may be empty:
  # all 0.
  bytes @0 :Data;  # names and parameters, one after the other: name, parameter, name, parameter...
  texts @1 :List(Data);
  nameSizes @2 :List(UInt32);  # bytes
  parameterSizes @3 :List(UInt32);  # bytes
  suites @4 :List(UInt32);  # numbers of texts
  files @5 :List(UInt32);  # numbers of texts
  lines @6 :List(UInt32);  # from 1; 0: unknown
  labels @7 :List(UInt32);  # numbers of texts: each label with a zero byte after it
  groups @8 :List(UInt32);  # numbers of texts: cases of one group run in one process
  locks @9 :List(UInt32);  # as labels: names of locks
}

struct CaseTable {
  unit @0 :UInt32;
  cases @1 :Cases;
  more @2 :Bool;  # another one follows
}

struct Lease {
  # A batch may hold hundreds of cases: columns, so that a case costs 4 bytes (8 where one is retried).
  id @0 :UInt64;
  unit @1 :UInt32;
  indices @2 :List(UInt32);   # never empty
  attempts @3 :List(UInt32);  # column of `indices`; empty: all 1
  iteration @4 :UInt32 = 1;   # of --repeat, of all of its cases; 1 or more
  timeLimits @5 :List(Int64);  # column of `indices`; one: all have it; empty: none has any
  unlistedToo @6 :Bool;  # what is there and was not listed may run, so that it shows
  env @7 :List(Pair);  # of its processes: after those of the run's settings and of the unit
  mayFollow @8 :Bool;  # shares its process with other leases of the unit that may
  sandbox @9 :UInt8;  # of its processes: 0 none, 1 no network
}

struct FileRecipe {
  id @0 :Data;             # one digest
  digests @1 :Data;        # of the chunks, in order
  sizes @2 :List(UInt32);  # column of `digests`: uncompressed bytes, 1 .. 262144
}

struct Recipes {
  recipes @0 :List(FileRecipe);
  unknown @1 :Data;  # digests
}

struct ChunkData {
  digest @0 :Data;  # one
  zstd @1 :Data;    # one zstd frame; empty: can no longer be read
}

struct ChunksAt {
  peer @0 :UInt32;             # host
  endpoints @1 :List(Data);    # at least one
  publicKey @2 :Data;          # 40 characters of Z85
  chunks @3 :Data;             # digests
}

struct PeerPort {
  address @0 :Data;
  port @1 :UInt16;             # not 0
  publicKey @2 :Data;          # 40 characters of Z85
}

struct PeerLost {
  peer @0 :UInt32;             # host
  reason @1 :Data;
}

struct FromPeers {
  bytes @0 :UInt64;
  chunks @1 :UInt64;
}

struct Gathered {
  unit @0 :UInt32;
  data @1 :Data;               # not empty, at most 32 MiB
  kind @2 :UInt8;              # 0 coverage, 1 reports of the framework, 2 what runs the tests
}

struct Hello {
  token @0 :Data;
  version @1 :Data;
  machine @2 :Data;
  system @3 :Data;
  glibc @4 :Data;
  store @5 :Data;
  cores @6 :UInt32;  # 1 or more
  memory @7 :UInt64;
  freeDisk @8 :UInt64;
  clock @9 :Int64;  # nanoseconds since 1970, by the host's clock
}

struct Prepared {
  unit @0 :UInt32;
  drain @1 :Bool;
  error @2 :Data;
}

struct Listed {
  unit @0 :UInt32;
  duration @1 :Int64;
  cases @2 :Cases;
  error @3 :Data;
  output @4 :Data;
  more @5 :Bool;  # another one follows
}

struct CaseResult {
  # What every case has, in 40 bytes without a pointer. The rest is in Results.details, for the cases that have any.
  index @0 :UInt32;
  attempt @1 :UInt32;  # 1 or more
  slot @2 :UInt32;
  outcome @3 :UInt8;  # 0 passed, 1 failed, 2 crashed, 3 timed out, 4 skipped, 5 infra error, 6 not run (stopped by Interrupt)
  leaky @4 :Bool;
  start @5 :Int64;
  duration @6 :Int64;
  process @7 :UInt32;  # of its agent, from 1; 0: none
  place @8 :UInt32;    # how many cases began in that process before it
}

struct CaseDetail {
  row @0 :UInt32;  # position in Results.results; ascending, each at most once
  outputCut @1 :UInt64;
  message @2 :Data;
  output @3 :Data;
  properties @4 :List(Pair);
  warning @5 :Data;
  setup @6 :Int64;     # of the case's duration
  teardown @7 :Int64;  # of it
  shared @8 :Int64;    # of `setup`: made for other cases, too
}

struct LateFailure {
  told @0 :UInt8;  # outcome that was told
  result @1 :CaseResult;
  detail @2 :CaseDetail;  # its row is 0
}

struct ListingWrong {
  unit @0 :UInt32;
  error @1 :Data;
}

struct LateProperties {
  index @0 :UInt32;
  attempt @1 :UInt32;  # 1 or more
  properties @2 :List(Pair);
}

struct Results {
  lease @0 :UInt64;
  unit @1 :UInt32;
  done @2 :Bool;
  startup @3 :Int64;
  results @4 :List(CaseResult);
  details @5 :List(CaseDetail);
  lateProperties @6 :List(LateProperties);  # of cases in earlier messages
  lateFailures @7 :List(LateFailure);       # as well
  followed @8 :Bool;   # another lease in its process
}

struct RunningCase {
  slot @0 :UInt32;
  index @1 :UInt32;
  lease @2 :UInt64;
  elapsed @3 :Int64;
  unit @4 :UInt32;
}

struct Heartbeat {
  leases @0 :List(UInt64);
  running @1 :List(RunningCase);
  openSlots @2 :UInt32;  # 0: all
}
