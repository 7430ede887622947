#include "coordinator/event/sink_set.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace dtest {

void SinkSet::Drop(Member& member, const absl::Status& status, absl::Time now) {
  member.sink = nullptr;
  failed_ = true;
  Handle({now, Warning{absl::StrCat(member.name, ": ", status.message(), "; it is given up, the run goes on")}});
}

void SinkSet::Handle(const RunEvent& event) {
  for (Member& member : members_) {
    if (member.sink == nullptr) continue;
    if (absl::Status status = member.sink->Handle(event); !status.ok()) Drop(member, status, event.time);
  }
}

void SinkSet::Flush(absl::Time now) {
  for (Member& member : members_) {
    if (member.sink == nullptr) continue;
    if (absl::Status status = member.sink->Flush(now); !status.ok()) Drop(member, status, now);
  }
}

absl::Time SinkSet::NextFlush() const {
  absl::Time next = absl::InfiniteFuture();
  for (const Member& member : members_) {
    if (member.sink != nullptr) next = std::min(next, member.sink->NextFlush());
  }
  return next;
}

}  // namespace dtest
