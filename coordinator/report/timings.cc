#include "coordinator/report/timings.h"

#include <algorithm>
#include <variant>

namespace dtest {
namespace {

// A log may be damaged or foreign: what is past these is not made room for.
constexpr uint32_t kMaxHosts = 1 << 20;
constexpr uint32_t kMaxSlots = 1 << 16;

// From `from` to `to`, if both came to pass.
absl::Duration Span(absl::Time from, absl::Time to) {
  if (from == absl::InfiniteFuture() || to == absl::InfinitePast()) return absl::ZeroDuration();
  return std::max(to - from, absl::ZeroDuration());
}

// Takes at most `wanted` out of `rest`.
absl::Duration Take(absl::Duration wanted, absl::Duration* rest) {
  const absl::Duration taken = std::clamp(wanted, absl::ZeroDuration(), *rest);
  *rest -= taken;
  return taken;
}

}  // namespace

absl::Status RunTimings::Handle(const RunEvent& event) {
  last_event_ = std::max(last_event_, event.time);
  if (const auto* ended = std::get_if<CaseEnded>(&event.what)) {
    On(*ended, event.time);
  } else if (const auto* listed = std::get_if<UnitListed>(&event.what)) {
    hashed_ = std::max(hashed_, listed->ready);
    listed_ = Span(started_, event.time);
    listing_ += listed->listing;
  } else if (const auto* started = std::get_if<RunStarted>(&event.what)) {
    started_ = event.time;
    setup_ = started->setup;
    hosts_.resize(std::max(hosts_.size(), started->hosts.size()));
    for (size_t i = 0; i < started->hosts.size(); ++i) host_ids_.try_emplace(started->hosts[i], i);
  } else if (const auto* up = std::get_if<HostUp>(&event.what)) {
    On(*up, event.time);
  } else if (const auto* down = std::get_if<HostDown>(&event.what)) {
    On(*down, event.time);
  } else if (const auto* shipped = std::get_if<HostShipped>(&event.what)) {
    On(*shipped, event.time);
  } else if (const auto* finished = std::get_if<RunFinished>(&event.what)) {
    finished_ = event.time;
    processes_ = finished->processes;
    startup_ = finished->startup;
  } else if (const auto* closed = std::get_if<RunClosed>(&event.what)) {
    reports_ = closed->reports;
  }
  return absl::OkStatus();
}

RunTimings::Host* RunTimings::Find(HostId id) {
  if (id.value() >= kMaxHosts) return nullptr;
  if (id.value() >= hosts_.size()) hosts_.resize(id.value() + 1);
  return &hosts_[id.value()];
}

void RunTimings::On(const HostUp& up, absl::Time now) {
  Host* host = Find(up.host);
  if (host == nullptr || host->up) return;
  if (!host->was_up) host->connected = Span(started_, now);
  first_up_ = std::min(first_up_, now);
  host->up = host->was_up = true;
  host->up_since = now;
  host->slots = std::min(up.slots, kMaxSlots);
  host->free_since.clear();
  host->fetching = false;
  host->fetched.clear();
  connecting_ += host->slots * Span(first_up_, now);
}

void RunTimings::On(const HostDown& down, absl::Time now) {
  Host* host = Find(down.host);
  if (host == nullptr || !host->up) return;
  host->up = false;
  for (uint32_t slot = 0; slot < host->slots; ++slot) lost_ += Span(FreeSince(*host, slot), now);
  up_lost_ += host->slots * Span(host->up_since, now);
}

void RunTimings::On(const HostShipped& shipped, absl::Time now) {
  Host* host = Find(shipped.host);
  if (host == nullptr) return;
  host->shipped += shipped.bytes;
  if (shipped.fetching == host->fetching) return;
  if (host->fetching) host->fetched.emplace_back(host->fetching_since, now);
  host->fetching = shipped.fetching;
  host->fetching_since = now;
}

absl::Time RunTimings::FreeSince(const Host& host, uint32_t slot) {
  return slot < host.free_since.size() ? host.free_since[slot] : host.up_since;
}

absl::Duration RunTimings::Waited(const Host& host, absl::Time from, absl::Time to) {
  absl::Duration waited;
  if (host.fetching) waited += Span(std::max(host.fetching_since, from), to);
  for (auto span = host.fetched.rbegin(); span != host.fetched.rend() && span->second > from; ++span) {
    waited += Span(std::max(span->first, from), std::min(span->second, to));
  }
  return waited;
}

void RunTimings::On(const CaseEnded& ended, absl::Time now) {
  last_verdict_ = std::max(last_verdict_, now);
  if (ended.replaces.has_value()) return;  // its time has been counted
  if (ended.host.empty() || ended.started == absl::InfinitePast()) return;
  if (ended.host != last_host_ || last_host_.empty()) {
    const auto found = host_ids_.find(ended.host);
    if (found == host_ids_.end()) return;
    last_host_ = std::string(ended.host);
    last_host_id_ = found->second;
  }
  Host& host = hosts_[last_host_id_];
  const uint32_t slot = ended.result.slot.value();
  if (!host.up || slot >= host.slots) return;
  if (slot >= host.free_since.size()) host.free_since.resize(slot + 1, host.up_since);
  absl::Time& free = host.free_since[slot];
  const absl::Time start = std::clamp(ended.started, free, std::max(free, now));
  const absl::Time end = std::clamp(ended.started + ended.result.duration, start, std::max(start, now));
  files_ += Waited(host, free, start);
  cases_ += end - start;
  free = end;
  first_start_ = std::min(first_start_, start);
  last_start_ = std::max(last_start_, start);
}

Timings RunTimings::Get() const {
  Timings timings;
  // A run without any case has no parts but the first and the last.
  const bool ran = last_start_ != absl::InfinitePast();
  const absl::Time end = ran ? last_verdict_ : finished_;
  timings.setup = setup_;
  timings.first_case = Span(started_, ran ? first_start_ : end);
  if (ran) {
    timings.running = Span(first_start_, last_start_);
    timings.tail = Span(last_start_, end);
  }
  timings.ending = Span(end, finished_);
  const absl::Duration after = finished_ == absl::InfinitePast() ? absl::ZeroDuration() : Span(finished_, last_event_);
  timings.reports = std::min(reports_, after);
  timings.leaving = after - timings.reports;

  std::vector<absl::Duration> connected;
  for (const Host& host : hosts_) {
    timings.shipped += host.shipped;
    if (host.shipped > 0) ++timings.shipped_hosts;
    if (!host.was_up) continue;
    connected.push_back(host.connected);
    timings.slots += host.slots;
  }
  timings.hosts = static_cast<uint32_t>(hosts_.size());
  timings.hosts_up = static_cast<uint32_t>(connected.size());
  if (!connected.empty()) {
    std::sort(connected.begin(), connected.end());
    timings.first_up = connected.front();
    timings.median_up = connected[connected.size() / 2];
    timings.last_up = connected.back();
  }
  timings.hashed = hashed_;
  timings.listed = listed_;
  timings.processes = processes_;
  if (!ran) return timings;

  absl::Duration up = up_lost_, tail, files = files_;
  for (const Host& host : hosts_) {
    if (!host.up) continue;
    up += host.slots * Span(host.up_since, end);
    for (uint32_t slot = 0; slot < host.slots; ++slot) {
      const absl::Time free = FreeSince(host, slot);
      tail += Span(std::max(free, last_start_), end);
      files += Waited(host, free, std::max(free, last_start_));
    }
  }
  // Between two results of a slot there is no tail: the last start was not before the second.
  timings.connecting = connecting_;
  timings.capacity = connecting_ + up;
  timings.cases = cases_;
  timings.slots_tail = tail;
  timings.lost = lost_;
  absl::Duration rest = std::max(up - cases_ - tail - lost_, absl::ZeroDuration());
  timings.startup = Take(startup_, &rest);
  timings.listing = Take(listing_, &rest);
  timings.files = Take(files, &rest);
  timings.idle = rest;
  return timings;
}

}  // namespace dtest
