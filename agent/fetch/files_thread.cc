#include "agent/fetch/files_thread.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/fetch/peers.h"
#include "agent/fetch/preparer.h"
#include "agent/log.h"
#include "dtest/base/clock.h"

namespace dtest {

// The thread's own side.
class FilesThread::Room {
 public:
  Room(const Options& options, Mailbox<Job>* jobs, Mailbox<Answer>* answers, const std::atomic<bool>* closing)
      : jobs_(jobs), answers_(answers), closing_(closing), preparer_(PreparerOptions(options)) {}

  void Run() {
    poller_.Watch(jobs_->fd(), [] {});
    while (!*closing_) {
      do {
        for (Job& job : jobs_->TakeAll()) {
          if (*closing_) return;
          job(*this);
        }
        preparer_.Tick(MonotonicNow());
        // Asking peers may have swallowed the edge by which their link tells of something.
      } while (!*closing_ && peers_ != nullptr && peers_->Turn(MonotonicNow()));
      absl::Time next = preparer_.NextDeadline();
      if (peers_ != nullptr) next = std::min(next, peers_->NextDeadline());
      if (const absl::Status slept = poller_.Wait(std::max(next - MonotonicNow(), absl::ZeroDuration())); !slept.ok()) {
        LogError(absl::StrCat("the thread of the store: ", slept.message()));
        std::abort();  // epoll_wait does not fail but for a bug of ours
      }
    }
  }

  Preparer& preparer() { return preparer_; }

  void MeetPeers(const CurveKeyPair& run_keys, const std::string& address) {
    Peers::Options options;
    options.run_keys = run_keys;
    options.address = address;
    options.poller = &poller_;
    options.read = [this](const Digest& chunk) { return preparer_.ReadChunk(chunk); };
    options.expected = [this](const Digest& chunk) {
      return preparer_.fetcher() != nullptr && preparer_.fetcher()->Expects(chunk);
    };
    // Peers are asked by the fetcher only.
    options.answered = [this](absl::Time now, HostId peer, const ChunkData& chunk) {
      preparer_.fetcher()->DeliverFromPeer(now, peer, chunk);
    };
    options.waits = [this](absl::Time now, HostId peer) { preparer_.fetcher()->PeerWaits(now, peer); };
    options.failed = [this](absl::Time now, HostId peer, const std::string& why) {
      preparer_.fetcher()->PeerFailed(now, peer, why);
    };
    absl::StatusOr<std::unique_ptr<Peers>> peers = Peers::Listen(std::move(options));
    if (!peers.ok()) {
      LogInfo(absl::StrCat("no peers: ", peers.status().message()));
      return;
    }
    peers_ = *std::move(peers);
    preparer_.UsePeers([this](const ChunksAt& at) { return peers_->Ask(at); });
    answers_->Put(FromAgent(peers_->port()));
  }

 private:
  Preparer::Options PreparerOptions(const Options& options) {
    Preparer::Options prepare;
    prepare.store_root = options.store_root;
    prepare.host_glibc = options.host_glibc;
    prepare.send = [this](Fetcher::Question question) {
      std::visit([this](auto& q) { answers_->Put(FromAgent(std::move(q))); }, question);
    };
    prepare.arrived = [this](const Digest& digest, absl::string_view zstd) {
      if (peers_ != nullptr) peers_->Arrived(digest, zstd);
    };
    prepare.ready = [this](PreparedUnit ready) { answers_->Put(std::move(ready)); };
    prepare.note = [this](std::string text) { answers_->Put(FromAgent(Note{std::move(text)})); };
    return prepare;
  }

  Mailbox<Job>* const jobs_;
  Mailbox<Answer>* const answers_;
  const std::atomic<bool>* const closing_;
  EpollPoller poller_;
  Preparer preparer_;
  std::unique_ptr<Peers> peers_;  // null: none
};

FilesThread::FilesThread(Options options) : options_(std::move(options)) {
  options_.poller->Watch(answers_.fd(), [this] { TakeAnswers(); });
}

FilesThread::~FilesThread() {
  options_.poller->Unwatch(answers_.fd());
  if (!thread_.joinable()) return;
  closing_ = true;
  jobs_.Put([](Room&) {});  // wakes it
  thread_.join();
}

void FilesThread::Post(Job job) {
  jobs_.Put(std::move(job));
  if (!thread_.joinable()) thread_ = std::thread([this] { Room(options_, &jobs_, &answers_, &closing_).Run(); });
}

void FilesThread::TakeAnswers() {
  for (Answer& answer : answers_.TakeAll()) {
    if (auto* message = std::get_if<FromAgent>(&answer)) {
      options_.delegate->FilesSay(std::move(*message));
    } else {
      options_.delegate->UnitIsPrepared(std::move(std::get<PreparedUnit>(answer)));
    }
  }
}

void FilesThread::MeetPeers(const CurveKeyPair& run_keys, const std::string& address) {
  Post([run_keys, address](Room& room) { room.MeetPeers(run_keys, address); });
}

void FilesThread::Prepare(const RunSettings& settings, const UnitSpec* spec) {
  Post([settings, spec](Room& room) { room.preparer().Prepare(MonotonicNow(), settings, *spec); });
}

void FilesThread::Deliver(FilesAnswer answer) {
  Post([answer = std::move(answer)](Room& room) {
    // Without one nothing was asked.
    Fetcher* const fetcher = room.preparer().fetcher();
    if (fetcher == nullptr) return;
    std::visit([fetcher](const auto& message) { fetcher->Deliver(MonotonicNow(), message); }, answer);
  });
}

}  // namespace dtest
